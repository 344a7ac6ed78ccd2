//! What the tests of this crate share: a cloud, SDK clients for it, and the outside tools.

#![expect(dead_code, reason = "each test binary uses its own part of this")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use local::{Cloud, Options};

/// A cloud in memory on a free port.
pub(crate) async fn cloud() -> Cloud {
    Cloud::start(Options::default()).await.unwrap()
}

/// Waits until something holds that changes of the cloud's state bring about.
pub async fn until(cloud: &Cloud, holds: impl Fn() -> bool) {
    let mut changes = cloud.services().shared.changes();
    let waiting = async {
        while !holds() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes to hold");
}

/// What a user would configure.
pub(crate) async fn sdk_config(cloud: &Cloud) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(cloud.deployment().account.region.clone()))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(cloud.endpoint_url())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await
}

/// An empty folder for the files of one test.
pub(crate) fn empty_folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Says that a tool is missing: a skipped test on a laptop, a failure where `REQUIRE_TOOLS=1`.
#[expect(clippy::print_stderr, reason = "the person who runs the test reads it")]
#[expect(clippy::disallowed_methods, reason = "the person who runs the tests decides it there")]
pub(crate) fn missing_tool(tool: &str, how_to_get_it: &str) {
    let text = format!("skipped: {tool} is not installed; {how_to_get_it}");
    assert!(std::env::var("REQUIRE_TOOLS").as_deref() != Ok("1"), "{text}");
    eprintln!("{text}");
}
