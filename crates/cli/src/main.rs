//! The binary `mapring`.

fn main() -> std::process::ExitCode {
    mapring_cli::main()
}
