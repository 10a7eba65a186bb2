//! A stranger with curl and the OpenAPI document.

use anyhow::{Context, Result, ensure};
use support::process::{ServerProcess, reachable_dir};

#[tokio::test(flavor = "multi_thread")]
async fn curl_alone_goes_the_whole_way() -> Result<()> {
    let folder = reachable_dir()?;
    let server = ServerProcess::start(&folder.path().join("server"), &[]).await?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/curl.sh");
    let output =
        tokio::process::Command::new("bash").arg(script).arg(&server.url).output().await.context("bash")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("the statistics count one admission"), "{said}");
    ensure!(server.stop().await?.success());
    Ok(())
}
