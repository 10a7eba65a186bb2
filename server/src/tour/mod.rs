//! `hvflvspot tour`: the main job performed aloud against a running server, with real gate processes and a network
//! that is really cut.

pub mod proxy;
