//! A request to start a context, and why it can be refused.

use thiserror::Error;

use super::options::OptionsError;
use super::settings::ChildSettings;
use super::transport::Transport;
use super::validate::PlanError;
use crate::call::Context;
use crate::runtime::RuntimeError;

/// One context to start.
#[derive(Debug)]
pub struct ConnectRequest<'a> {
    /// How to reach the context.
    pub transport: &'a dyn Transport,
    /// The context's name; the transport's choice unless given.
    pub name: Option<String>,
    /// The context that starts it; this process unless given.
    pub via: Option<&'a Context>,
    /// What runs in the context, and how it is configured.
    pub settings: &'a ChildSettings,
}

/// Why no connection can be made as requested. Nothing was started.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The transport rejects its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The transport has made a plan that cannot be carried out.
    #[error("the plan cannot be carried out")]
    Plan(#[from] PlanError),
    /// The runtime cannot start the context.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The intermediate's runtime cannot carry out plans.
    #[error(
        "{via} runs `{runtime}`, which cannot start contexts by a plan: use another intermediate, or \
         upstream's own method (`mitogen::upstream::connect`)"
    )]
    UnsupportedIntermediate {
        /// The context that was to start the new one.
        via: String,
        /// What runs in it.
        runtime: String,
    },
    /// The link is opened by this process, so no other context can start the context.
    #[error(
        "`{method}` opens its links in this process, so {via} cannot start a context with it: use it \
         without an intermediate"
    )]
    OpenedByThisProcess {
        /// The transport's name.
        method: String,
        /// The context that was to start the new one.
        via: String,
    },
    /// The plan says that the link is opened, and the transport has no opener.
    #[error("the plan of `{method}` needs an opener, which the transport does not have")]
    NoOpener {
        /// The transport's name.
        method: String,
    },
    /// A copy of a context runs what the context runs.
    #[error(
        "a copy of {via} runs `{runtime}` as {via} does: to run `{wanted}`, use a transport that \
         starts a program"
    )]
    CopyOfOtherRuntime {
        /// The context that was to be copied.
        via: String,
        /// What runs in it.
        runtime: String,
        /// What the settings ask for.
        wanted: String,
    },
}
