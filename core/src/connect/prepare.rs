//! From a request to everything that is sent to start one context. Pure: no connection, thread or router
//! is needed, so that plans can be printed without one.

use std::sync::Arc;

use super::options::OptionsError;
use super::plan::Plan;
use super::request::RequestError;
use super::settings::ChildSettings;
use super::start::{FORK_NEEDS_VIA, Start};
use super::transport::{ChildCommand, Transport};
use crate::ids::{ContextId, Identity};
use crate::router::RouterOptions;
use crate::runtime::{Boot, BootRequest, ChildConfig, Runtime};
use crate::sys;

/// A question for the plan by which a context would be started.
///
/// ```
/// # use mitogen_core::connect::{ChildCommand, ChildSettings, OptionsError, Plan, PlanRequest, Spawn, Transport};
/// # use mitogen_core::runtime::{Boot, BootRequest, Feature, Runtime, RuntimeError, RuntimeModule};
/// # #[derive(Debug)]
/// # struct Shell;
/// # impl Runtime for Shell {
/// #     fn name(&self) -> &str { "shell" }
/// #     fn boot(&self, _: &BootRequest<'_>) -> Result<Boot, RuntimeError> { Ok(Boot::new(vec!["sh".into()])) }
/// #     fn requirements(&self, _: Feature) -> Result<Vec<&str>, RuntimeError> { Ok(Vec::new()) }
/// #     fn module(&self, _: &str) -> Option<RuntimeModule> { None }
/// # }
/// # let runtime = Shell;
/// #[derive(Debug)]
/// struct Nice;
///
/// impl Transport for Nice {
///     fn method(&self) -> &str {
///         "nice"
///     }
///
///     fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
///         let mut argv = vec!["nice".to_owned()];
///         argv.extend(child.argv.iter().cloned());
///         Ok(Plan::new("nice", "nice", Spawn::new(argv)))
///     }
/// }
///
/// let settings = ChildSettings::new(runtime);
/// let plan = PlanRequest::new(&Nice, &settings).via("ssh.web1", None).plan()?;
/// assert_eq!(plan.name, "ssh.web1.nice");
/// assert_eq!(plan.argv()[0], "nice");
/// # Ok::<(), mitogen_core::connect::RequestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlanRequest<'a> {
    transport: &'a dyn Transport,
    settings: &'a ChildSettings,
    name: Option<&'a str>,
    via: Option<Intermediate<'a>>,
    context: Identity,
    router: RouterOptions,
}

/// The context that starts the new one.
#[derive(Clone, Debug)]
struct Intermediate<'a> {
    name: &'a str,
    /// What runs in it, if that is known.
    runtime: Option<Arc<dyn Runtime>>,
}

impl<'a> PlanRequest<'a> {
    /// A plan of `transport` for a child with these settings, started by the master.
    pub fn new(transport: &'a dyn Transport, settings: &'a ChildSettings) -> Self {
        Self {
            transport,
            settings,
            name: None,
            via: None,
            context: Identity::master().child(ContextId(1)),
            router: RouterOptions::default(),
        }
    }

    /// Sets the context's name; the transport's choice unless given.
    #[must_use]
    pub fn name(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Sets the intermediate that starts the context: its name, and what runs in it if that is known.
    #[must_use]
    pub fn via(self, name: &'a str, runtime: Option<Arc<dyn Runtime>>) -> Self {
        Self { via: Some(Intermediate { name, runtime }), ..self }
    }

    /// Sets the ids of the context and its ancestors. Default: 1, a child of the master.
    #[must_use]
    pub fn context(self, context: Identity) -> Self {
        Self { context, ..self }
    }

    /// Sets the limits of the tree, which children enforce as well.
    #[must_use]
    pub fn router_options(self, router: RouterOptions) -> Self {
        Self { router, ..self }
    }

    /// The plan. Nothing is started.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn plan(&self) -> Result<Plan, RequestError> {
        Ok(prepare(self)?.plan)
    }
}

/// Everything that is sent to start one context.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) config: ChildConfig,
    pub(super) boot: Boot,
    pub(super) runtime: Arc<dyn Runtime>,
}

/// Makes the plan and the boot for `request`.
///
/// # Errors
/// See [`RequestError`].
pub(super) fn prepare(request: &PlanRequest<'_>) -> Result<Prepared, RequestError> {
    let (settings, via) = (request.settings, request.via.as_ref());
    if let Some(Intermediate { name, runtime: Some(runtime) }) = via
        && !runtime.can_start_children()
    {
        let (via, runtime) = ((*name).to_owned(), runtime.name().to_owned());
        return Err(RequestError::UnsupportedIntermediate { via, runtime });
    }
    let mut config = config(request);
    let title = match &settings.remote_name {
        Some(name) => name.replace(['/', '\\'], "_"),
        None => default_remote_name(),
    };
    let mut runtime = Arc::clone(&settings.runtime);
    let boot = runtime.boot(&BootRequest::new(&config, &title))?;
    let command = ChildCommand::new(boot.argv).with_exits(boot.exits);
    let mut plan = request.transport.plan(&command)?;
    if plan.start == Start::Fork {
        let Some(via) = via else {
            let message = FORK_NEEDS_VIA.to_owned();
            return Err(OptionsError::in_option(plan.method, "via", message).into());
        };
        if let Some(own) = &via.runtime {
            if own.name() != runtime.name() {
                return Err(RequestError::CopyOfOtherRuntime {
                    via: via.name.to_owned(),
                    runtime: own.name().to_owned(),
                    wanted: runtime.name().to_owned(),
                });
            }
            runtime = Arc::clone(own);
        }
    }
    if let Some(timeout) = settings.timeout {
        plan.timeout = timeout;
    }
    if let Some(keepalive) = settings.keepalive {
        plan.keepalive = keepalive.is_on().then_some(keepalive);
    }
    if let Some(name) = request.name {
        plan.name = name.to_owned();
    }
    if let Some(via) = via {
        plan.name = format!("{}.{}", via.name, plan.name);
    }
    plan.validate()?;
    check_opener(&plan, request)?;
    config.name.clone_from(&plan.name);
    // Again, with the name that the transport gave the context.
    let boot = runtime.boot(&BootRequest::new(&config, &title))?;
    Ok(Prepared { plan, config, boot, runtime })
}

/// Refuses a plan whose link this process must open and cannot.
fn check_opener(plan: &Plan, request: &PlanRequest<'_>) -> Result<(), RequestError> {
    if plan.start != Start::Opened {
        return Ok(());
    }
    let method = plan.method.clone();
    match &request.via {
        Some(via) => Err(RequestError::OpenedByThisProcess { method, via: via.name.to_owned() }),
        None if request.transport.opener().is_none() => Err(RequestError::NoOpener { method }),
        None => Ok(()),
    }
}

/// The configuration of the new context, without its name.
fn config(request: &PlanRequest<'_>) -> ChildConfig {
    let settings = request.settings;
    let parents = request.context.parents.iter().map(|id| id.0).collect();
    let mut config = ChildConfig::new(request.context.id.0, parents, "");
    config.debug = settings.debug;
    config.unidirectional = request.router.unidirectional;
    config.max_message_size = request.router.max_message_size as u64;
    config.log_levels = settings.log_levels;
    config.import_overrides.clone_from(&settings.import_overrides);
    config.import_blocks.clone_from(&settings.import_blocks);
    config
}

/// The name of a child's process in process lists on the remote host, unless the settings have one.
fn default_remote_name() -> String {
    let user = sys::current_user_name().ok().flatten().unwrap_or_else(|| "unknown".to_owned());
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{user}@{}:{}", host.to_string_lossy(), std::process::id()).replace(['/', '\\'], "_")
}
