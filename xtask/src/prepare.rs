//! Installs what the tests need, or lists what is missing.

use std::path::{Path, PathBuf};

use crate::root::Result;
use crate::steps;

/// A program that the tests run, and the Debian package that has it.
struct Tool {
    name: &'static str,
    package: &'static str,
    is_installed: fn() -> bool,
}

/// What compiling the feature `ssh2` needs, for the tests and for the checks.
const BUILD_TOOLS: [Tool; 2] = [
    Tool { name: "pkg-config", package: "pkg-config", is_installed: || found("pkg-config") },
    Tool { name: "OpenSSL's headers", package: "libssl-dev", is_installed: has_openssl },
];

const TOOLS: [Tool; 10] = [
    Tool { name: "ssh", package: "openssh-client", is_installed: || found("ssh") && found("ssh-keygen") },
    Tool { name: "sshd", package: "openssh-server", is_installed: || found("sshd") },
    Tool { name: "sudo", package: "sudo", is_installed: || found("sudo") },
    Tool { name: "doas", package: "opendoas", is_installed: || found("doas") },
    Tool { name: "csh", package: "csh", is_installed: || found("csh") },
    Tool { name: "ip", package: "iproute2", is_installed: || found("ip") },
    Tool {
        name: "useradd and chpasswd",
        package: "passwd",
        is_installed: || found("useradd") && found("chpasswd"),
    },
    Tool { name: "python3", package: "python3", is_installed: || found("python3") },
    Tool { name: "python3 -m venv", package: "python3-venv", is_installed: has_venv },
    Tool { name: "locale definitions", package: "locales", is_installed: has_locales },
];

/// On Debian, as root, installs what the tests need and do not find; otherwise fails with a list.
pub(crate) fn run() -> Result<()> {
    let tools: Vec<Tool> = BUILD_TOOLS.into_iter().chain(TOOLS).collect();
    if provide(&tools)? {
        Ok(())
    } else {
        Err("the tests add accounts and network namespaces; run this as root".into())
    }
}

/// The same for what all crates need to compile.
pub(crate) fn build_tools() -> Result<()> {
    provide(&BUILD_TOOLS).map(|_| ())
}

/// Installs what is missing of `tools`; whether this is root.
fn provide(tools: &[Tool]) -> Result<bool> {
    let missing = missing(tools);
    let is_root = steps::output(&mut steps::command("id", ["-u"]))?.trim() == "0";
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
        let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
        println!("missing: {}", names.join(", "));
        if !is_root || !Path::new("/etc/debian_version").exists() || !found("apt-get") {
            return Err(format!(
                "install them first (Debian packages: {}); as root on Debian this task does it",
                packages.join(" ")
            ));
        }
        install(&packages)?;
        let left: Vec<&str> = self::missing(tools).iter().map(|tool| tool.name).collect();
        if !left.is_empty() {
            return Err(format!("installed, but still missing: {}", left.join(", ")));
        }
    }
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    println!("all tools are installed: {}", names.join(", "));
    Ok(is_root)
}

fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools.iter().filter(|tool| !(tool.is_installed)()).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing Debian packages: {}", packages.join(" "));
    let apt = |args: &[&str]| {
        let mut command = steps::command("apt-get", args);
        steps::run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
}

/// Whether a program is on `PATH` or in a directory for administrators.
fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|dir| dir.join(program).is_file())
}

fn has_openssl() -> bool {
    steps::succeeds(&mut steps::command("pkg-config", ["--exists", "openssl"]))
}

/// Whether `venv` works; Debian packages the part that installs pip separately.
fn has_venv() -> bool {
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    steps::succeeds(&mut steps::command(python, ["-c", "import ensurepip, venv"]))
}

fn has_locales() -> bool {
    Path::new("/usr/share/i18n/locales").is_dir() || !Path::new("/etc/debian_version").exists()
}
