//! The program `mapring` as the tests run it.

fn main() -> std::process::ExitCode {
    mapring_cli::main()
}
