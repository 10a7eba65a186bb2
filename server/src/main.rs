//! The server's binary; everything is in the library.

fn main() -> std::process::ExitCode {
    hvflvspot::cli::main()
}
