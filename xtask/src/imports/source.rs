//! Reads a crate: its modules, what each defines and imports, and every path that its code names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Item, Meta, UseTree};

use crate::root::Result;

/// One library or program.
#[derive(Debug)]
pub(super) struct Crate {
    /// Its name in code.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
    /// The first is the root.
    pub(super) modules: Vec<Module>,
}

/// A module, in a file of its own or inline.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    /// Names that can be used in it. One name may mean a type, a function and a module at once.
    pub(super) names: HashMap<String, Vec<Definition>>,
    /// What it imports with `*`.
    pub(super) globs: Vec<Vec<String>>,
    /// Paths in its code.
    pub(super) uses: Vec<Use>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Definition {
    Module(usize),
    /// Defined here; the names of its variants, where it is an enum.
    Item(Vec<String>),
    Import(Vec<String>),
}

/// A path in the code.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Crate {
    /// Reads the crate whose root file is `root`, with all files of its modules.
    pub(super) fn read(root: &Path, name: &str) -> Result<Self> {
        let mut krate = Self { name: name.replace('-', "_"), files: Vec::new(), modules: Vec::new() };
        let dir = root.parent().unwrap_or(Path::new("")).to_path_buf();
        krate.read_file(root, None, dir)?;
        Ok(krate)
    }

    /// Reads a file as a module; `dir` is where the files of its own modules are.
    fn read_file(&mut self, path: &Path, parent: Option<usize>, dir: PathBuf) -> Result<usize> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let parsed = syn::parse_file(&text)
            .map_err(|error| format!("{}:{}: {error}", path.display(), error.span().start().line))?;
        self.files.push(path.to_path_buf());
        let file = self.files.len() - 1;
        let file_dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
        self.read_items(&parsed.items, file, parent, Folders { modules: dir, file: Some(file_dir) })
    }

    fn read_items(
        &mut self,
        items: &[Item],
        file: usize,
        parent: Option<usize>,
        folders: Folders,
    ) -> Result<usize> {
        let number = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            names: HashMap::new(),
            globs: Vec::new(),
            uses: Vec::new(),
        });
        let mut reader = Reader { krate: self, module: number, folders, error: None };
        for item in items {
            reader.visit_item(item);
        }
        reader.error.map_or(Ok(number), Err)
    }
}

/// Where the files of a module's own modules are.
struct Folders {
    modules: PathBuf,
    /// The folder of the file itself, which `#[path]` starts from; none inside an inline module.
    file: Option<PathBuf>,
}

/// Reads the items of one module.
struct Reader<'a> {
    krate: &'a mut Crate,
    module: usize,
    folders: Folders,
    error: Option<String>,
}

impl Reader<'_> {
    fn define(&mut self, name: String, definition: Definition) {
        self.krate.modules[self.module].names.entry(name).or_default().push(definition);
    }

    fn note(&mut self, path: Vec<String>, line: usize) {
        self.krate.modules[self.module].uses.push(Use { path, line });
    }

    fn read_module(&mut self, item: &syn::ItemMod) -> Result<()> {
        let name = item.ident.to_string();
        let name = name.trim_start_matches("r#");
        let file = self.krate.modules[self.module].file;
        let path = path_attribute(&item.attrs);
        let number = if let Some((_, items)) = &item.content {
            let modules = self.folders.modules.join(path.as_deref().unwrap_or(name));
            self.krate.read_items(items, file, Some(self.module), Folders { modules, file: None })?
        } else if let Some(path) = path {
            let base = self.folders.file.as_ref().unwrap_or(&self.folders.modules);
            let path = base.join(path);
            let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
            self.krate.read_file(&path, Some(self.module), dir)?
        } else {
            let dir = self.folders.modules.join(name);
            let plain = dir.with_extension("rs");
            let path = if plain.is_file() { plain } else { dir.join("mod.rs") };
            self.krate.read_file(&path, Some(self.module), dir)?
        };
        self.define(name.to_owned(), Definition::Module(number));
        Ok(())
    }

    fn read_use(&mut self, tree: &UseTree, before: &[String]) {
        match tree {
            UseTree::Path(path) => {
                self.read_use(&path.tree, &joined(before, path.ident.to_string()));
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.import(before.last().cloned().unwrap_or_default(), before.to_vec(), &name.ident);
            }
            UseTree::Name(name) => {
                self.import(name.ident.to_string(), joined(before, name.ident.to_string()), &name.ident);
            }
            UseTree::Rename(name) => {
                let path = if name.ident == "self" {
                    before.to_vec()
                } else {
                    joined(before, name.ident.to_string())
                };
                self.import(name.rename.to_string(), path, &name.ident);
            }
            UseTree::Glob(_) => self.krate.modules[self.module].globs.push(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.read_use(tree, before)),
        }
    }

    fn import(&mut self, name: String, path: Vec<String>, at: &proc_macro2::Ident) {
        self.note(path.clone(), at.span().start().line);
        self.define(name, Definition::Import(path));
    }

    /// Paths in the arguments of a macro. A lower-case word that stands alone may be a variable and is left out.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let line = first.span().start().line;
                    let mut path = vec![first.to_string()];
                    while is_colon(at + 1) && is_colon(at + 2) {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                        path.push(next.to_string());
                        at += 3;
                    }
                    if path.len() > 1 || path[0].starts_with(char::is_uppercase) {
                        self.note(path, line);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).is_some_and(only_for_tests) {
            return;
        }
        let (name, variants) = match item {
            Item::Const(item) => (Some(&item.ident), Vec::new()),
            Item::Enum(item) => {
                (Some(&item.ident), item.variants.iter().map(|variant| variant.ident.to_string()).collect())
            }
            Item::Fn(item) => (Some(&item.sig.ident), Vec::new()),
            Item::Macro(item) => (item.ident.as_ref(), Vec::new()),
            Item::Static(item) => (Some(&item.ident), Vec::new()),
            Item::Struct(item) => (Some(&item.ident), Vec::new()),
            Item::Trait(item) => (Some(&item.ident), Vec::new()),
            Item::TraitAlias(item) => (Some(&item.ident), Vec::new()),
            Item::Type(item) => (Some(&item.ident), Vec::new()),
            Item::Union(item) => (Some(&item.ident), Vec::new()),
            _ => (None, Vec::new()),
        };
        if let Some(name) = name {
            self.define(name.to_string(), Definition::Item(variants));
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if let Err(error) = self.read_module(item) {
            self.error.get_or_insert(error);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !only_for_tests(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.note(names, first.ident.span().start().line);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.read_tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // `#[serde(with = "path")]` and its like name functions in strings.
        let Meta::List(list) = &attribute.meta else { return };
        if !list.path.is_ident("serde") {
            return;
        }
        for token in list.tokens.clone() {
            let TokenTree::Literal(literal) = token else { continue };
            let line = literal.span().start().line;
            let text = literal.to_string();
            let text = text.trim_matches('"');
            if text.contains("::") && !text.contains(|c: char| c.is_whitespace() || "<>".contains(c)) {
                self.note(text.split("::").map(str::to_owned).collect(), line);
            }
        }
    }
}

fn joined(before: &[String], name: String) -> Vec<String> {
    before.iter().cloned().chain([name]).collect()
}

/// The attributes of an item that may be left out of a build.
fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

/// Whether a `cfg` attribute leaves the item out of every build that is not for tests.
fn only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.parse_args::<Meta>().is_ok_and(|meta| needs_test(&meta))
    })
}

fn needs_test(meta: &Meta) -> bool {
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parts = list
                .parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated)
                .unwrap_or_default();
            (list.path.is_ident("all") && parts.iter().any(needs_test))
                || (list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_test))
        }
        Meta::NameValue(_) => false,
    }
}

/// The value of `#[path = "..."]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}
