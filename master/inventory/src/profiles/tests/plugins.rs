//! `[plugins]`: transports that are loaded.

use std::path::Path;

use mitogen_core::connect::TransportOrigin;

use super::*;

/// Finds `good.so` and `second.so`, each with the transport `plug`; `docker.so`; and `via.so`, with a forbidden option.
fn load(path: &Path) -> Result<Vec<TransportKind>, Box<dyn std::error::Error + Send + Sync>> {
    let (name, option) = match path.file_name().and_then(|name| name.to_str()) {
        Some("good.so" | "second.so") => ("plug", "hostname"),
        Some("docker.so") => ("docker", "hostname"),
        Some("via.so") => ("other", "via"),
        _ => return Err(std::io::Error::other("not there").into()),
    };
    Ok(vec![kind(name, &[option]).with_origin(TransportOrigin::Library(path.to_owned()))])
}

fn parse_loading(text: &str) -> Result<Inventory, Diagnostics> {
    Inventory::parse_with_plugins(&ProfileFile::from_text("dir/m.toml", text), &registry(), &load)
}

fn brief(found: Result<Inventory, Diagnostics>) -> Vec<String> {
    let found = found.unwrap_err().0;
    found.iter().map(|error| format!("{}:{} {}", error.line, error.column, error.message)).collect()
}

#[test]
fn profiles_use_the_transport_of_a_plugin() {
    let inventory =
        parse_loading("[plugins]\npaths = [\"good.so\"]\n[profile.a]\nmethod = \"plug\"\n").unwrap();
    let origin = TransportOrigin::Library("dir/good.so".into());
    assert_eq!(inventory.transports().get("plug").unwrap().origin(), &origin);
    let chain = inventory.resolve(&inventory.select("a", None).unwrap()[0], &Overrides::default()).unwrap();
    assert_eq!(chain.hops[0].transport().unwrap().origin(), &origin);
}

#[test]
fn faults_of_plugins_have_a_line() {
    let text = "[plugins]\npaths = [\"good.so\", \"second.so\",\n\"docker.so\", \"none.so\", 5, \"via.so\"]\npath = 1\n\
                [profile.a]\nmethod = \"unknown\"\n";
    assert_eq!(
        brief(parse_loading(text)),
        [
            "2:21 library dir/second.so: there is a transport `plug` already (library dir/good.so)",
            "3:1 library dir/docker.so: there is a transport `docker` already (built in)",
            "3:14 not there",
            "3:25 expected a path, found an integer",
            "3:28 library dir/via.so: every profile has a key `via`, so no option can have this name",
            "4:1 unknown key",
        ]
    );
    assert_eq!(
        brief(parse_loading("[plugins]\npaths = 5")),
        ["2:9 expected an array of strings, found an integer"]
    );
    assert_eq!(brief(parse("[plugins]\npaths = []")), ["2:1 this program loads no plugins"]);
}
