//! Services: Rust ones called from Python, Python ones from Rust, and files by upstream's service.

use std::fs;
use std::os::unix::fs::chown;
use std::sync::mpsc;

use bytes::Bytes;
use mitogen::files::{FILE_SERVICE, FileService, PUSH_FILE_SERVICE, PushFileService};
use mitogen::service::{Kind, Service, ServiceError, ServicePolicy, Services};
use mitogen::{CallError, Context, Master, Value};
use mitogen_core::call::FunctionName;
use mitogen_tests::{isolated, pythons};

use crate::common::{connect_with, local, master, started_by, up};
use crate::frame_log::FrameLog;
use crate::{Scratch, noise};

/// Evaluates an expression in the child; `core` and `service` are modules in it.
fn eval(child: &Context, python: &mitogen_tests::Python, expression: &str) -> Result<Value, CallError> {
    let import = |name: &str| format!("__import__('mitogen.{name}', None, None, ['x'])");
    let text = format!("(lambda core, service: {expression})({}, {})", import("core"), import("service"));
    let module = if python.version.0 == 2 { "__builtin__" } else { "builtins" };
    let function = FunctionName { module: module.to_owned(), class: None, function: "eval".to_owned() };
    child.request(function).args((text,)).call()
}

fn each_python(body: impl Fn(&Master, &Context, &mitogen_tests::Python)) {
    for python in pythons().iter().filter(|python| python.is_supported()) {
        let master = master();
        let child = up(&connect_with(&master, None, &local(), &started_by(&[python.path.to_str().unwrap()])));
        body(&master, &child, python);
        master.shutdown();
    }
}

#[test]
fn services_in_rust_are_called_from_python_by_their_policies() {
    isolated(|| {
        each_python(|master, child, python| {
            let services = Services::start(master.router(), 2).unwrap();
            let (sender, told) = mpsc::channel();
            services.add(
                Service::new("probe.Probe")
                    .method("add", ServicePolicy::AllowAny, &[("a", Kind::Int), ("b", Kind::Int)], |call| {
                        let number = |name| call.get(name).and_then(Value::as_i64).unwrap();
                        Ok(Value::Int(number("a") + number("b")))
                    })
                    .method("secret", ServicePolicy::AllowParents, &[], |_| Ok(Value::None))
                    .method("fail", ServicePolicy::AllowAny, &[], |_| {
                        Err(ServiceError("on purpose".to_owned()))
                    })
                    .method("panic", ServicePolicy::AllowAny, &[], |_| panic!("on purpose"))
                    .no_reply("tell", ServicePolicy::AllowAny, &[("what", Kind::Text)], move |call| {
                        let _ = sender.send(call.text("what").to_owned());
                        Ok(())
                    }),
            );
            let call = |words: &str| {
                eval(child, python, &format!("core.router.master.call_service(u'probe.Probe', {words})"))
            };
            assert_eq!(call("u'add', a=1, b=2").unwrap(), Value::Int(3));
            for (words, text) in [
                ("u'secret'", "Caller is not authorized to invoke 'secret' of service 'probe.Probe'"),
                ("u'nothing'", "No such method: 'nothing'"),
                ("u'add', a=1", "Required argument 'b' missing."),
                ("u'add', a=1, b=u'x'", "Argument 'b' type incorrect, got str, expected int"),
                ("u'fail'", "on purpose"),
                ("u'panic'", "the service panicked"),
            ] {
                let error = call(words).unwrap_err();
                assert!(
                    matches!(&error, CallError::Remote(_)) && error.to_string().contains(text),
                    "{error}"
                );
            }
            let other = "core.router.master.call_service(u'no.Such', u'x')";
            assert!(eval(child, python, other).unwrap_err().to_string().contains("not yet activated"));
            let tell = "core.router.master.call_service_no_reply(u'probe.Probe', u'tell', what=u'hello')";
            eval(child, python, tell).unwrap();
            assert_eq!(told.recv_timeout(crate::common::TIMEOUT).unwrap(), "hello");
            // Dead messages end no service thread.
            let dead = "[core.router.route(core.Message.dead(u'', dst_id=0, handle=110)) for i in range(9)]";
            eval(child, python, dead).unwrap();
            assert_eq!(call("u'add', a=2, b=2").unwrap(), Value::Int(4));
            drop(services);
        });
    });
}

#[test]
fn files_are_fetched_by_the_upstream_file_service_in_both_directions() {
    isolated(|| {
        let scratch = Scratch::new();
        let data = noise(5_000_000);
        let path = scratch.file("source", &data);
        chown(&path, Some(1), Some(2)).unwrap();
        each_python(|master, child, python| {
            let services = Services::start(master.router(), 2).unwrap();
            let files = FileService::start(&services);
            // Python fetches a file from the master.
            let out = scratch.at("out");
            let get = format!(
                "(lambda out: (service.FileService.get(core.router.master, u'{}', out), out.close()))(open('{}', 'wb'))[0]",
                path.display(),
                out.display(),
            );
            let error = eval(child, python, &get).unwrap_err();
            let text = format!("Path '{}' is not registered with FileService.", path.display());
            assert!(error.to_string().contains(&text), "{error}");
            files.share_all(&scratch.at(""));
            let result = eval(child, python, &get).unwrap();
            let [whole, metadata] = result.as_seq().unwrap() else { panic!("{result:?}") };
            assert_eq!(whole, &Value::Bool(true));
            assert_eq!(metadata.get("owner").and_then(Value::as_str), Some("daemon"));
            assert_eq!(metadata.get("group").and_then(Value::as_str), Some("bin"));
            assert_eq!(metadata.get("size"), Some(&Value::Int(5_000_000)));
            assert!(fs::read(&out).unwrap() == data, "under {}", python.version_text());

            // The master fetches a file from Python.
            let (sender, chunks) = mpsc::channel::<Bytes>();
            let handle = master.router().add_handler(None, Default::default(), move |delivery| {
                if !delivery.message.is_dead() {
                    let _ = sender.send(delivery.message.data);
                }
            });
            let arguments = [
                ("path", Value::from(path.to_str().unwrap())),
                ("sender", Value::Sender { context: master.router().identity().id, handle }),
            ];
            let metadata: Value = child.call_service(FILE_SERVICE, "fetch", &arguments).unwrap();
            assert_eq!(metadata.get("owner").and_then(Value::as_str), Some("daemon"));
            let mut got = Vec::new();
            while got.len() < data.len() {
                let chunk = chunks.recv_timeout(crate::common::TIMEOUT).unwrap();
                got.extend_from_slice(&chunk);
                let size = [("size", Value::from(chunk.len() as u64))];
                child.call_service_no_reply(FILE_SERVICE, "acknowledge", &size).unwrap();
            }
            assert!(got == data, "under {}", python.version_text());
            master.router().remove_handler(handle);
            drop(services);
        });
    });
}

#[test]
fn pushed_files_cross_each_link_once_and_can_be_waited_for() {
    isolated(|| {
        let scratch = Scratch::new();
        let contents = noise(300_000);
        let path = scratch.file("pushed", &contents);
        for python in pythons().iter().filter(|python| python.is_supported()) {
            let tap = FrameLog::new(&python.path);
            let master = master();
            let child = |via: Option<&Context>| up(&connect_with(&master, via, &local(), tap.settings()));
            let above = child(None);
            let ends = [(); 2].map(|()| child(Some(&above)));
            let push = PushFileService::new(master.router());
            let get = |context: &Context, name: &str| {
                let service = format!(
                    "service.get_or_create_pool().find(u'{PUSH_FILE_SERVICE}', core.Message(auth_id=0))"
                );
                eval(context, python, &format!("bytes({service}.get(u'{name}'))"))
            };
            let name = path.to_str().unwrap();
            std::thread::scope(|scope| {
                // A file that has not arrived is waited for.
                let early = scope.spawn(|| get(&ends[1], name));
                for end in &ends {
                    push.propagate_to(end, &path).unwrap();
                }
                // Pushing it again sends nothing.
                push.propagate_to(&ends[0], &path).unwrap();
                assert_eq!(early.join().unwrap().unwrap(), Value::from(&contents[..]), "{python:?}");
            });
            assert_eq!(get(&ends[0], name).unwrap(), Value::from(&contents[..]));
            // The contexts on the route have it too.
            assert_eq!(get(&above, name).unwrap(), Value::from(&contents[..]));
            push.propagate_data(&ends[0], "changed", Bytes::from_static(b"first")).unwrap();
            assert_eq!(get(&ends[0], "changed").unwrap(), Value::from(&b"first"[..]));
            let missing = push.propagate_to(&ends[0], &scratch.at("missing")).unwrap_err();
            assert!(missing.to_string().contains("missing"), "{missing}");
            master.shutdown();
            for (at, link) in tap.links().iter().enumerate() {
                let whole = link.down.iter().filter(|message| message.data.len() > contents.len());
                assert_eq!(whole.count(), 1, "{}: link {at}", python.version_text());
            }
        }
    });
}
