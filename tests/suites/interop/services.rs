//! Services, files and package data of a master, used by upstream children of the master and of its contexts.

use mitogen::files::{FILE_SERVICE, FileService};
use mitogen::ids::ContextId;
use mitogen::service::{Kind, Service, ServiceError, ServicePolicy, Services};
use mitogen::{Context, Master, Value};
use mitogen_tests::isolated;

use crate::common::{connect_with, local, up};
use crate::releases::{Release, each, newest, of};
use crate::via::master_serving;

const PROGRAM: &str = r"
import mitogen.core
import mitogen.service

@mitogen.core.takes_econtext
def add(a, b, econtext):
    master = econtext.router.context_by_id(0)
    return master.call_service(service_name=u'probe.Probe', method_name=u'add', a=a, b=b)

@mitogen.core.takes_econtext
def secret(econtext):
    master = econtext.router.context_by_id(0)
    return master.call_service(service_name=u'probe.Probe', method_name=u'secret')

@mitogen.core.takes_econtext
def fetch(owner, path, out, econtext):
    with open(out, 'wb') as fp:
        ok, metadata = mitogen.service.FileService.get(econtext.router.context_by_id(owner), path, fp)
    return [ok, metadata['size']]

def resource(name):
    import importlib.resources
    return importlib.resources.open_binary('served', name).read()
";

/// The package `served`, which uses services, with a data file.
fn program() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let package = dir.path().join("served");
    std::fs::create_dir(&package).expect("made");
    for (name, text) in [("__init__.py", ""), ("uses.py", PROGRAM), ("data.txt", "from the master")] {
        std::fs::write(package.join(name), text).expect("written");
    }
    dir
}

/// An upstream child of the master, one of our contexts, and an upstream child of that context.
fn children(master: &Master, release: &Release) -> ([Context; 2], Context) {
    let between = up(&connect_with(master, None, &local(), master.settings()));
    let both = [None, Some(&between)];
    (both.map(|via| up(&connect_with(master, via, &local(), &release.settings()))), between)
}

#[test]
fn every_release_calls_services_and_fetches_files() {
    isolated(|| {
        let program = program();
        // Several flow-control windows long.
        let data: Vec<u8> = (0..5_000_000u32).map(|at| (at % 251) as u8).collect();
        each(|release| {
            let master = master_serving(program.path());
            let services = Services::start(master.router(), 2).expect("threads");
            services.add(
                Service::new("probe.Probe")
                    .method("add", ServicePolicy::AllowAny, &[("a", Kind::Int), ("b", Kind::Int)], |call| {
                        let number = |name| {
                            let number = call.get(name).and_then(Value::as_i64);
                            number.ok_or_else(|| ServiceError(format!("{name} is too large")))
                        };
                        Ok(Value::Int(number("a")? + number("b")?))
                    })
                    .method("secret", ServicePolicy::AllowParents, &[], |_| Ok(Value::None)),
            );
            let files = FileService::start(&services);
            let (children, between) = children(&master, release);
            for child in children {
                assert_eq!(child.call::<i64>("served.uses.add", (40, 2)).expect("an answer"), 42);
                let error = child.call::<Value>("served.uses.secret", ()).expect_err("not for children");
                assert!(error.to_string().contains("not authorized to invoke 'secret'"), "{error}");
                let scratch = tempfile::tempdir().expect("a directory");
                let [source, out] = ["source", "out"].map(|name| scratch.path().join(name));
                std::fs::write(&source, &data).expect("written");
                let [from, to] = [&source, &out].map(|path| path.to_str().expect("it is text").to_owned());
                let fetch = |owner: ContextId| {
                    let _ = std::fs::remove_file(&out);
                    child.call::<(bool, u64)>("served.uses.fetch", (owner.0, &from, &to))
                };
                let master = ContextId::MASTER;
                let error = fetch(master).expect_err("not shared");
                assert!(error.to_string().contains("is not registered with FileService"), "{error}");
                files.share(&source);
                let path = [("path", Value::from(from.as_str()))];
                between.call_service::<Value>(FILE_SERVICE, "register", &path).expect("it is shared");
                // From the master, and from a context.
                for owner in [master, between.id()] {
                    assert_eq!(fetch(owner).expect("it is shared"), (true, 5_000_000));
                    assert!(std::fs::read(&out).expect("it exists") == data, "the bytes differ");
                }
            }
            drop(services);
            master.shutdown();
        });
    });
}

/// Upstream supports them since about 0.3.41.
#[test]
fn upstream_children_read_package_data_files() {
    isolated(|| {
        let program = program();
        for release in [of("0.3.41"), newest()] {
            let master = master_serving(program.path());
            for child in children(&master, &release).0 {
                let text: Value = child.call("served.uses.resource", ("data.txt",)).expect("it is served");
                assert_eq!(text.as_str(), Some("from the master"));
                let error =
                    child.call::<Value>("served.uses.resource", ("no.txt",)).expect_err("no such resource");
                assert!(error.to_string().contains("FileNotFoundError"), "{error}");
            }
            master.shutdown();
        }
    });
}
