//! Writes one compile-time validator per file in `schemas/`, so that adding an event type means adding one file
//! and a broken schema is a compile error that names it.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by its environment where to write")]

use std::{env, fmt::Write as _, fs, path::PathBuf};

fn main() {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../schemas");
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    // By event type, which is looked up by halving: `a` comes before `a.b`, but `a.b.json` before `a.json`.
    files.sort_by(|one, other| one.file_stem().cmp(&other.file_stem()));

    let mut validators = String::new();
    let mut registry = String::from("static SCHEMAS: &[Schema] = &[\n");
    for (index, path) in files.iter().enumerate() {
        let event_type = path.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 file name");
        let path = path.to_str().expect("a UTF-8 path");
        writeln!(
            validators,
            "#[jsonschema::validator(path = {path:?}, draft = Draft7, validate_formats = true)]\nstruct Validator{index};"
        )
        .expect("writing to a String");
        writeln!(
            registry,
            "    Schema::new({event_type:?}, include_str!({path:?}), Validator{index}::is_valid, \
             |payload| Validator{index}::iter_errors(payload).take(ERRORS_MAX).map(Broken::from_error).collect()),"
        )
        .expect("writing to a String");
    }
    registry.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("schemas.rs");
    fs::write(&out, validators + &registry).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}
