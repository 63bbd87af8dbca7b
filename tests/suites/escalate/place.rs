//! Starts a tool as an ordinary account, by the master and by a context.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mitogen::dialogue::{FailureKind, Stage};
use mitogen::transports::su;
use mitogen::{ConnectHandle, Context, Master, Transport};
use mitogen_tests::{TestUser, run};
use tempfile::TempDir;

use crate::common::{check, down, uid, up};

/// An account, with wrappers by which this process starts tools as that account, and a context of that account.
pub(crate) struct Place {
    pub(crate) master: Master,
    context: Context,
    wrappers: TempDir,
}

impl Place {
    /// For tools started by this account.
    pub(crate) fn of(user: &TestUser) -> Self {
        Self::with_environment(user, "")
    }

    /// The same, with variables for the environment of each tool that this process starts.
    pub(crate) fn with_environment(user: &TestUser, settings: &str) -> Self {
        let wrappers = tempfile::tempdir().unwrap();
        for tool in ["sudo", "su", "doas"] {
            let file = wrappers.path().join(tool);
            let text = format!(
                "#!/bin/sh\nexec env {settings} '{}' --reuid {name} --regid {name} --init-groups -- '{}' \"$@\"\n",
                run::find("setpriv").unwrap().display(),
                run::find(tool).unwrap().display(),
                name = user.name(),
            );
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let master = crate::common::master();
        let become_user = su::Su::new(su::Options::new().username(user.name())).unwrap();
        let context = up(&master.connect(&become_user).unwrap());
        assert_eq!(uid(&context), user.uid());
        Self { master, context, wrappers }
    }

    /// Starts the transport that `make` returns for a tool's path, by the master and by the context.
    fn start<T: Transport>(&self, tool: &str, make: &impl Fn(String) -> T) -> [ConnectHandle; 2] {
        let here = self.wrappers.path().join(tool);
        [
            self.master.connect(&make(display(&here))).unwrap(),
            self.master.connect_via(&self.context, &make(display(&run::find(tool).unwrap()))).unwrap(),
        ]
    }

    /// Checks that both connections succeed, with this uid.
    pub(crate) fn works<T: Transport>(&self, tool: &str, as_uid: u32, make: impl Fn(String) -> T) {
        for connecting in self.start(tool, &make) {
            assert_eq!(uid(&up(&connecting)), as_uid, "{connecting:?}");
        }
    }

    /// Checks that both connections fail at the privilege stage with this kind of error.
    pub(crate) fn refuses<T: Transport>(&self, tool: &str, kind: FailureKind, make: impl Fn(String) -> T) {
        for connecting in self.start(tool, &make) {
            let error = down(&connecting);
            check(&error, Stage::Privilege, kind);
            assert!(error.hint.is_some() || kind == FailureKind::AuthenticationFailed, "{}", error.report());
            assert!(!format!("{error:?}{}", error.report()).contains("not-the-password"));
            assert!(error.hop.contains(&format!("{tool}.")), "{}", error.report());
        }
        // The context that started it still works.
        uid(&self.context);
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
