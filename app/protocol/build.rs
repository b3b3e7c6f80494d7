//! Compiles the `.proto` files with a compiler written in Rust, so that no `protoc` needs to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "tidemark/stored/v1/stored.proto",
        "tidemark/accounts/v1/accounts.proto",
        "tidemark/health/v1/health.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
