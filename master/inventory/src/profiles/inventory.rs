//! A checked profile file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use mitogen_core::connect::Registry;

use super::chain::Chain;
use super::check::{self, Checked, PluginLoader};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::error::{ProfilesError, ResolveError};
use super::overrides::Overrides;
use super::profile::{Defaults, Profile};
use super::profile_file::ProfileFile;
use super::resolve::Resolver;
use super::search::Search;
use crate::targets::{Catalog, Expression, Target, TargetError};

/// The content of a checked profile file, and `local`.
///
/// ```
/// use mitogen_core::connect::Registry;
/// use mitogen_inventory::profiles::{Inventory, Overrides, ProfileFile};
///
/// let registry: Registry = [mitogen_ssh::kind()].into_iter().collect();
/// let file = ProfileFile::from_text(
///     "mitogen.toml",
///     r#"
///     [profile.web]
///     method = "ssh"
///     hostname = "web[01-03].example.org"
///     "#,
/// );
/// let inventory = Inventory::parse(&file, &registry)?;
/// let targets = inventory.select("web !web02", None)?;
/// let labels: Vec<&str> = targets.iter().map(|target| target.label.as_str()).collect();
/// assert_eq!(labels, ["web01.example.org", "web03.example.org"]);
///
/// let chain = inventory.resolve(&targets[0], &Overrides::default().user("deploy"))?;
/// assert_eq!(chain.hops[0].masked_options()["username"], "deploy");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inventory {
    path: Option<PathBuf>,
    registry: Registry,
    defaults: Defaults,
    profiles: Vec<Profile>,
    by_name: HashMap<String, usize>,
    catalog: Catalog,
    warnings: Vec<Diagnostic>,
}

impl Inventory {
    /// An inventory without profiles, where only `local` and ad-hoc targets exist.
    pub fn empty(registry: &Registry) -> Self {
        Self {
            path: None,
            registry: registry.clone(),
            defaults: Defaults::default(),
            profiles: Vec::new(),
            by_name: HashMap::new(),
            catalog: Catalog::new(Vec::new(), BTreeMap::new()),
            warnings: Vec::new(),
        }
    }

    /// Loads the file that the search finds; without one the inventory is [empty](Self::empty). Logs the
    /// [warnings](Self::warnings).
    ///
    /// # Errors
    /// A file that cannot be read or is not safe to use, and all errors in it.
    pub fn load(search: &Search, registry: &Registry) -> Result<Self, ProfilesError> {
        Self::load_from(search, registry, None)
    }

    /// Loads the file as [`Inventory::load`] does, and with `load` the plugins that it names.
    ///
    /// # Errors
    /// A file that cannot be read or is not safe to use, and all errors in it; those of plugins are among them.
    pub fn load_with_plugins(
        search: &Search,
        registry: &Registry,
        load: &PluginLoader<'_>,
    ) -> Result<Self, ProfilesError> {
        Self::load_from(search, registry, Some(load))
    }

    fn load_from(
        search: &Search,
        registry: &Registry,
        load: Option<&PluginLoader<'_>>,
    ) -> Result<Self, ProfilesError> {
        match search.read()? {
            Some(file) => {
                let inventory = Self::parse_from(&file, registry, load)?;
                for Diagnostic { path, line, key, message, hint, .. } in &inventory.warnings {
                    let (key, hint) =
                        (key.as_deref().unwrap_or_default(), hint.as_deref().unwrap_or_default());
                    tracing::warn!("{}:{line}: {key}: {message}; {hint}", path.display());
                }
                Ok(inventory)
            }
            None => Ok(Self::empty(registry)),
        }
    }

    /// Parses and checks a profile file.
    ///
    /// # Errors
    /// All errors in the file.
    pub fn parse(file: &ProfileFile, registry: &Registry) -> Result<Self, Diagnostics> {
        Self::parse_from(file, registry, None)
    }

    /// Parses and checks a profile file, and loads with `load` the plugins that it names.
    ///
    /// # Errors
    /// All errors in the file; those of plugins are among them.
    pub fn parse_with_plugins(
        file: &ProfileFile,
        registry: &Registry,
        load: &PluginLoader<'_>,
    ) -> Result<Self, Diagnostics> {
        Self::parse_from(file, registry, Some(load))
    }

    fn parse_from(
        file: &ProfileFile,
        registry: &Registry,
        load: Option<&PluginLoader<'_>>,
    ) -> Result<Self, Diagnostics> {
        let Checked { registry, defaults, profiles, catalog, warnings } = check::check(file, registry, load)?;
        let by_name = profiles.iter().enumerate().map(|(i, profile)| (profile.name.clone(), i)).collect();
        let path = Some(file.path().to_owned());
        Ok(Self { path, registry, defaults, profiles, by_name, catalog, warnings })
    }

    /// The path of the profile file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The transports that profiles can name: those that were given, and those that the file defines.
    pub fn transports(&self) -> &Registry {
        &self.registry
    }

    /// The table `[defaults]`.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The profiles that have a method, in the order of the file.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// All targets and groups.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the file should say differently though it can be used, such as keys with new names.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The targets that an expression selects, restricted to those that `limit` selects.
    ///
    /// # Errors
    /// An expression that cannot be parsed or selects nothing.
    pub fn select(&self, wanted: &str, limit: Option<&str>) -> Result<Vec<Target>, TargetError> {
        let limit = limit.map(Expression::parse).transpose()?;
        self.catalog.select(&Expression::parse(wanted)?, limit.as_ref())
    }

    /// The hops to a target, with all of their options.
    ///
    /// # Errors
    /// A target of another inventory, and overrides that have no effect on this one.
    pub fn resolve(&self, target: &Target, overrides: &Overrides) -> Result<Chain, ResolveError> {
        let resolver = Resolver {
            registry: &self.registry,
            defaults: &self.defaults,
            profiles: &self.profiles,
            by_name: &self.by_name,
        };
        resolver.resolve(target, overrides)
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
