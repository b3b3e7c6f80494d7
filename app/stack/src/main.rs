//! The program `stack`.

fn main() {}
