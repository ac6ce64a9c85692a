//! The structure of the code as its own `use` lines and paths give it: which file of a crate names
//! which, what goes round in circles, and what the files and functions measure.
//!
//! Read are the files of each crate's `src`, without what is compiled for tests alone. A name that a
//! file takes through a re-export counts for the file that defines it, and a re-export is no arrow.
//! Calls of methods are not seen: a type whose methods stand in several files is counted apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Functions of more lines than this are worth a look.
pub const LONG_FUNCTION: usize = 70;

/// A module's path within its crate: empty for the root.
type Module = Vec<String>;

/// One file of a crate, named from its `src` on.
#[derive(Debug, Default)]
pub struct File {
    /// Its lines that are not compiled for tests alone.
    pub lines: usize,
    /// Its asserts that stay in production.
    pub asserts: usize,
    /// How many functions it has, and those that are long, with their lines.
    pub functions: usize,
    /// Functions of more than [`LONG_FUNCTION`] lines.
    pub long: Vec<(String, usize)>,
    /// The files that it names.
    pub uses: BTreeSet<String>,
}

/// What a crate's source looks like.
#[derive(Debug, Default)]
pub struct Structure {
    /// Its files.
    pub files: BTreeMap<String, File>,
    /// Types that have methods in several files, with these; named with the file that defines them.
    pub scattered: BTreeMap<String, BTreeSet<String>>,
}

impl Structure {
    /// Reads a crate.
    ///
    /// # Panics
    /// Where a file cannot be read or is no Rust.
    pub fn read(krate: &Path) -> Self {
        let source = krate.join("src");
        let mut modules = Modules::default();
        for root in ["lib.rs", "main.rs"] {
            if source.join(root).is_file() {
                modules.add_file(&source, Path::new(root), Vec::new());
            }
        }
        modules.finish()
    }

    /// How many arrows there are between files.
    pub fn arrows(&self) -> usize {
        self.files.values().map(|file| file.uses.len()).sum()
    }

    /// The circles: sets of files that each reach all others of the set, the largest first.
    pub fn circles(&self) -> Vec<BTreeSet<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.files.keys().map(|file| (file.as_str(), self.reach(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            let back = reached.iter().filter(|other| reach[**other].contains(file));
            let circle: BTreeSet<String> = back.map(|file| (*file).to_owned()).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let mut circles: Vec<_> = circles.into_iter().collect();
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reach(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut left: Vec<&str> = self.files[file].uses.iter().map(String::as_str).collect();
        while let Some(next) = left.pop() {
            if reached.insert(next) {
                left.extend(self.files[next].uses.iter().map(String::as_str));
            }
        }
        reached
    }

    /// The arrows that run up, where the parts at the top of a crate, folders and files, are named
    /// from the bottom up: `from -> to`.
    ///
    /// # Panics
    /// Where a part is not named, or is named and not there.
    pub fn arrows_up(&self, bottom_up: &[&str]) -> Vec<String> {
        let found: BTreeSet<&str> = self.files.keys().map(|file| part(file)).collect();
        assert_eq!(found, bottom_up.iter().copied().collect(), "the parts of the crate");
        let level = |file: &str| bottom_up.iter().position(|name| *name == part(file));
        let arrows = self
            .files
            .iter()
            .flat_map(|(from, file)| file.uses.iter().map(move |to| (from.as_str(), to.as_str())));
        let up = arrows.filter(|(from, to)| level(to) > level(from));
        up.map(|(from, to)| format!("{from} -> {to}")).collect()
    }
}

/// The part at the top of a crate that a file belongs to: its folder, or itself.
fn part(file: &str) -> &str {
    let top = file.split('/').next().unwrap_or(file);
    top.strip_suffix(".rs").unwrap_or(top)
}

/// The modules of a crate while it is read.
#[derive(Default)]
struct Modules {
    /// The file of each module.
    of: BTreeMap<Module, String>,
    /// What a module gives on under other names: the name, and the path behind it.
    given_on: BTreeMap<(Module, String), Module>,
    /// The paths that a file names: seen from the crate's root.
    named: Vec<(String, Module)>,
    /// The types that have methods in a file: the file, the module and the type.
    methods: Vec<(String, Module, String)>,
    files: BTreeMap<String, File>,
}

impl Modules {
    fn add_file(&mut self, source: &Path, path: &Path, module: Module) {
        let full = source.join(path);
        let text = fs::read_to_string(&full).expect("a module's file can be read");
        let parsed = syn::parse_file(&text).expect("a module's file is Rust");
        let name = path.to_string_lossy().into_owned();
        let tests: usize =
            parsed.items.iter().filter(|item| for_tests(attributes(item))).map(lines).sum();
        let file = self.files.entry(name.clone()).or_default();
        file.lines = text.lines().count() - tests;
        self.of.insert(module.clone(), name.clone());
        let mut reader =
            Reader { modules: self, file: name, module: module.clone(), below: Vec::new() };
        for item in &parsed.items {
            reader.visit_item(item);
        }
        let below = std::mem::take(&mut reader.below);
        for child in below {
            let path = found(source, path, module.len(), &child);
            self.add_file(source, &path, child);
        }
    }

    /// The file that defines what a path names, if the path is one of the crate.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        // A re-export may lead to another one.
        for _ in 0..8 {
            let known =
                (0..=path.len()).rev().find(|length| self.of.contains_key(&path[..*length]))?;
            let given_on = path
                .get(known)
                .and_then(|name| self.given_on.get(&(path[..known].to_vec(), name.clone())));
            let Some(behind) = given_on else {
                return self.of.get(&path[..known]).map(String::as_str);
            };
            path = [behind.as_slice(), &path[known + 1..]].concat();
        }
        None
    }

    fn finish(mut self) -> Structure {
        for (file, path) in std::mem::take(&mut self.named) {
            let Some(to) = self.file_of(&path).filter(|to| *to != file).map(str::to_owned) else {
                continue;
            };
            self.files.entry(file).or_default().uses.insert(to);
        }
        let mut methods = BTreeMap::<String, BTreeSet<String>>::new();
        for (file, module, name) in std::mem::take(&mut self.methods) {
            let path = [module, vec![name.clone()]].concat();
            let defined = self.file_of(&path).unwrap_or(&file);
            methods.entry(format!("{name} ({defined})")).or_default().insert(file);
        }
        let scattered = methods.into_iter().filter(|(_, files)| files.len() > 1).collect();
        Structure { files: self.files, scattered }
    }
}

/// Where the file of a module lies.
fn found(source: &Path, parent: &Path, depth: usize, module: &[String]) -> PathBuf {
    // Modules written in the file itself lie between it and the module.
    let folder = match parent.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => {
            parent.parent().map(Path::to_owned).unwrap_or_default()
        }
        _ => parent.with_extension(""),
    };
    let below: PathBuf = module[depth..].iter().collect();
    let base = folder.join(below);
    let flat = base.with_extension("rs");
    if source.join(&flat).is_file() { flat } else { base.join("mod.rs") }
}

/// Whether something is compiled for tests alone.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let text = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (text == "test" || text.starts_with("all (test") || text.starts_with("all(test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

fn lines(item: &Item) -> usize {
    let span = item.span();
    span.end().line + 1 - span.start().line
}

/// Reads one file.
struct Reader<'a> {
    modules: &'a mut Modules,
    file: String,
    module: Module,
    /// The modules that lie in files of their own.
    below: Vec<Module>,
}

impl Reader<'_> {
    /// A path as seen from the crate's root; `None` for one of other crates.
    fn absolute(&self, segments: &[String]) -> Option<Module> {
        let mut path = self.module.clone();
        let mut rest = segments;
        match segments.first()?.as_str() {
            "crate" => {
                path.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                path.push(first.to_owned());
                let child = self.below.contains(&path) || self.modules.of.contains_key(&path);
                return child.then(|| [path.as_slice(), &segments[1..]].concat());
            }
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            path.pop()?;
            rest = &rest[1..];
        }
        Some([path.as_slice(), rest].concat())
    }

    fn name(&mut self, segments: &[String]) {
        if let Some(path) = self.absolute(segments) {
            self.modules.named.push((self.file.clone(), path));
        }
    }

    fn used(&mut self, tree: &UseTree, before: &mut Vec<String>, given_on: bool) {
        let (last, alias) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.used(&path.tree, before, given_on);
                before.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.used(tree, before, given_on);
                }
                return;
            }
            UseTree::Glob(_) => return self.name(before),
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
        };
        let mut path = before.clone();
        if last != "self" {
            path.push(last);
        }
        if let Some(behind) = self.absolute(&path) {
            // Modules below see what is not public too.
            self.modules.given_on.insert((self.module.clone(), alias), behind);
        }
        if !given_on {
            self.name(&path);
        }
    }

    /// The paths within the text of a macro's call, which is not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.path(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.path(&path);
    }

    /// A path within the code: alone, a name is none of a module.
    fn path(&mut self, segments: &[String]) {
        if segments.len() > 1 {
            self.name(segments);
        }
    }

    fn function(&mut self, name: &str, span: proc_macro2::Span) {
        let lines = span.end().line + 1 - span.start().line;
        let file = self.modules.files.entry(self.file.clone()).or_default();
        file.functions += 1;
        if lines > LONG_FUNCTION {
            file.long.push((name.to_owned(), lines));
        }
    }
}

impl Visit<'_> for Reader<'_> {
    fn visit_item(&mut self, item: &Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if let Some((_, items)) = &item.content {
            self.modules.of.insert(self.module.clone(), self.file.clone());
            for item in items {
                self.visit_item(item);
            }
        } else {
            self.below.push(self.module.clone());
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let given_on = !matches!(item.vis, Visibility::Inherited);
        self.used(&item.tree, &mut Vec::new(), given_on);
    }

    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.function(&item.sig.ident.to_string(), item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if !for_tests(&item.attrs) {
            self.function(&item.sig.ident.to_string(), item.block.span());
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        if item.trait_.is_none()
            && let syn::Type::Path(path) = &*item.self_ty
            && let Some(name) = path.path.segments.last()
        {
            let method = (self.file.clone(), self.module.clone(), name.ident.to_string());
            self.modules.methods.push(method);
        }
        visit::visit_item_impl(self, item);
    }

    /// Whom something is for is no use of it.
    fn visit_visibility(&mut self, _: &Visibility) {}

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.path(&segments.collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string());
        if matches!(name.as_deref(), Some("assert" | "assert_eq" | "assert_ne")) {
            self.modules.files.entry(self.file.clone()).or_default().asserts += 1;
        }
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}
