//! The architecture, read from the sources: modules rest on each other in no circle and in the order that is written
//! down, and ARCHITECTURE.md names only what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Modules of one crate by path (`event::json`, the root is empty), each with what it imports from the others.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for name in crates() {
        let on_circles = circles_in(&imports_of(&name));
        circles.extend(on_circles.iter().map(|(module, imports)| format!("{name}: {module} -> {imports:?}")));
    }
    assert!(circles.is_empty(), "modules import each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let imports = |pairs: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in pairs {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    assert!(circles_in(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let with_circle = imports(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]);
    assert_eq!(circles_in(&with_circle), imports(&[("b", "c"), ("c", "b")]));
    let source = "use crate::{\n    a::{self, B},\n    c::d::E,\n};\nfn f() { crate::g::h() }\n// crate::not::me\n";
    let modules = BTreeSet::from(["", "a", "c", "c::d", "g", "not"].map(str::to_owned));
    let found = imports_in(source, "x", &modules);
    assert_eq!(found, BTreeSet::from(["a", "c::d", "g"].map(str::to_owned)));
}

#[test]
fn the_domain_rests_on_itself_in_one_order() {
    const ORDER: [&str; 8] = ["storage", "event", "entry", "projection", "ports", "retry", "names", ""];
    let floor = |module: &str| {
        let top = module.split("::").next().expect("a text has a first part");
        ORDER.iter().position(|name| *name == top).unwrap_or_else(|| panic!("{module} has no place in the order"))
    };
    for (module, imports) in imports_of("ledger") {
        for import in imports {
            assert!(floor(&import) <= floor(&module), "{module} imports {import}");
        }
    }
}

/// What a row of the contract names in backticks: tests, and modules of the simulation.
fn names_in(row: &str) -> impl Iterator<Item = &str> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.map(|name| name.rsplit("::").next().expect("a text has a last part")).filter(|name| name.contains('_'))
}

#[test]
fn every_name_and_file_in_the_contract_exists() {
    let document = fs::read_to_string(root().join("../ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let mut sources = BTreeMap::new();
    for name in crates() {
        for part in ["src", "tests"] {
            sources_under(&root().join(name.as_str()).join(part), &mut sources);
        }
    }
    let mut names = 0;
    for row in document.lines().filter(|line| line.starts_with("| G")) {
        for name in names_in(row) {
            let is_defined = |text: &String| {
                ["fn ", "const ", "mod "].iter().any(|keyword| {
                    text.match_indices(&format!("{keyword}{name}")).any(|(at, found)| {
                        text[at + found.len()..].starts_with(|after: char| !after.is_alphanumeric() && after != '_')
                    })
                })
            };
            assert!(sources.values().any(is_defined), "ARCHITECTURE.md names {name}, which nothing defines");
            names += 1;
        }
        for file in row.split("](").skip(1).filter_map(|link| link.split(')').next()) {
            assert!(root().join("..").join(file).exists(), "ARCHITECTURE.md links to {file}, which is not there");
        }
    }
    assert!(names >= 40, "the contract names its tests, but only {names} were found");
}

fn sources_under(folder: &Path, sources: &mut BTreeMap<PathBuf, String>) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if file.is_dir() {
            sources_under(&file, sources);
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(file.clone(), fs::read_to_string(&file).expect("a readable source"));
        }
    }
}

fn crates() -> Vec<String> {
    let folders = fs::read_dir(root()).expect("the crates are there").flatten();
    folders.map(|folder| folder.file_name().into_string().expect("a name in UTF-8")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn imports_of(name: &str) -> Imports {
    let sources = root().join(name).join("src");
    let mut files = BTreeMap::new();
    collect(&sources, &mut files);
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    files.iter().map(|(module, text)| (module.clone(), imports_in(text, module, &modules))).collect()
}

/// Modules with their text; programs beside a library and tests are none.
fn collect(sources: &Path, files: &mut BTreeMap<String, String>) {
    let mut texts = BTreeMap::new();
    sources_under(sources, &mut texts);
    for (file, text) in texts {
        let path = file.strip_prefix(sources).expect("it lies there").with_extension("");
        let mut parts: Vec<&str> = path.iter().map(|part| part.to_str().expect("a name in UTF-8")).collect();
        let last = *parts.last().expect("a file has a name");
        if parts[0] == "bin" || last == "tests" || last.ends_with("_tests") {
            continue;
        }
        if last == "mod" || (parts.len() == 1 && ["lib", "main"].contains(&last)) {
            parts.pop();
        }
        files.entry(parts.join("::")).or_default().push_str(&text);
    }
}

/// The modules that a source names by `crate::…`, alone or in a list, or, being its children, by their own name.
fn imports_in(source: &str, module: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().expect("a text has a first part");
    let code: String =
        product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with('$') && !code[..at].ends_with(is_in_path) {
            expand("", &code[at + "crate::".len()..], &mut paths);
        }
    }
    for child in modules.iter().filter(|child| !child.is_empty()) {
        let (parent, name) = child.rsplit_once("::").unwrap_or(("", child));
        let is_whole = |(at, _): (usize, &str)| !code[..at].ends_with(is_in_path);
        if parent == module && code.match_indices(&format!("{name}::")).any(is_whole) {
            paths.push(child.clone());
        }
    }
    let mut imports: BTreeSet<String> = paths.iter().map(|path| module_of(path, modules)).collect();
    imports.remove(module);
    imports
}

fn is_in_path(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == ':'
}

/// Adds the paths of a use tree, or the one path, that `text` begins with.
fn expand<'t>(prefix: &str, text: &'t str, paths: &mut Vec<String>) -> &'t str {
    let end = text.find(|letter| !is_in_path(letter)).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    let Some(mut rest) = text[end..].strip_prefix('{') else {
        paths.push(path);
        return &text[end..];
    };
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        rest = expand(&path, rest, paths);
        // `as other`
        let next = rest.find([',', '}']).expect("a use tree ends");
        rest = &rest[next..];
    }
}

/// The module that holds what a path names.
fn module_of(path: &str, modules: &BTreeSet<String>) -> String {
    let mut module = path.trim_end_matches("::");
    while !modules.contains(module) {
        module = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    }
    module.to_owned()
}

/// What lies on circles, or between two of them: what is left once those that import nothing of the rest are taken
/// away, and those that nothing of the rest imports.
fn circles_in(imports: &Imports) -> Imports {
    let mut left = imports.clone();
    loop {
        let count = left.len();
        let imported: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|module, imports| imported.contains(module) && !imports.is_empty());
        let modules: BTreeSet<String> = left.keys().cloned().collect();
        left.values_mut().for_each(|imports| imports.retain(|import| modules.contains(import)));
        if left.len() == count {
            return left;
        }
    }
}
