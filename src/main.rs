//! The `fairlead` program: arguments in, one call each, exit code out.

fn main() -> std::process::ExitCode {
    fairlead::cli::main()
}
