//! Measures scans against their floor in the same run.
use crate::gate::World;
/// x
pub fn scan(_t: u32, _s: u32, _j: bool, _w: World) -> anyhow::Result<()> {
    Ok(())
}
