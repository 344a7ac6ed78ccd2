//! Puts a fact to the Terraform, which heeds it: the answers are the files of `infra`, with their variables at their
//! defaults, so that an expression finds what would go wrong on AWS.

#[expect(dead_code, reason = "the contract between code and Terraform reads more of it")]
#[path = "../infra/terraform.rs"]
mod reader;

use reader::{Terraform, Variables};
use serde_json::{Map, Value, json};

/// Returns the resources by type and name, the modules by name, and the alarms.
pub(crate) fn answers() -> Value {
    let terraform = Terraform::read("infra", Variables::Default);
    let mut resources = json!({});
    for (address, block) in terraform.all("resource") {
        let (kind, name) = address.split_once('.').expect("a resource has a type and a name");
        resources[kind][name] = block;
    }
    let modules: Map<String, Value> = terraform.all("module").collect();
    json!({ "resource": resources, "module": modules, "alarms": terraform.local("alarms") })
}
