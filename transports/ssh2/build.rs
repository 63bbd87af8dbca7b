//! Refuses the system's libssh2: distributions have old ones, without the fixes and algorithms of the bundled copy.

fn main() {
    const USE_SYSTEM: &str = "LIBSSH2_SYS_USE_PKG_CONFIG";
    println!("cargo::rerun-if-env-changed={USE_SYSTEM}");
    if std::env::var_os(USE_SYSTEM).is_some() {
        println!("cargo::error={USE_SYSTEM} is set; unset it: mitogen-ssh2 builds its own libssh2");
    }
}
