//! No circle of imports: in no crate, and in no tree of tests, do files import each other in a circle, nor do the rooms of
//! a folder.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail on the spot")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The modules of a crate by their paths, each with its file, and whether it is a folder's own.
type Modules = BTreeMap<Vec<String>, PathBuf>;

/// From where to where, and why.
type Edges<Node> = BTreeMap<Node, BTreeSet<Node>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source folder of every crate of the workspace, and of every tree of tests: a folder in `tests` with a `main.rs`.
fn sources() -> Vec<PathBuf> {
    fn below(folder: &Path, depth: u8, found: &mut Vec<PathBuf>) {
        if folder.join("Cargo.toml").exists() && folder.join("src").exists() {
            found.push(folder.join("src"));
            let tests = std::fs::read_dir(folder.join("tests")).into_iter().flatten();
            let tests = tests.map(|entry| entry.unwrap().path());
            found.extend(tests.filter(|tree| tree.join("main.rs").exists()));
        }
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for entry in entries.filter(|entry| entry.is_dir() && depth > 0) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with('.') && !["target", "src", "tests"].contains(&&*name) {
                below(&entry, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    below(&root(), 2, &mut found);
    found
}

/// The modules that a file declares, tests left out.
fn declared(file: &Path, path: &[String], modules: &mut Modules) {
    modules.insert(path.to_vec(), file.to_owned());
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let is_own = ["mod", "lib", "main"].contains(&stem) || file.parent().unwrap().ends_with("bin");
    let folder = if is_own { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    for item in parsed(file).items {
        let Item::Mod(module) = item else { continue };
        if module.content.is_some() || is_test(&module.attrs) {
            continue;
        }
        let name = module.ident.to_string();
        let candidates = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
        let found = candidates.into_iter().find(|candidate| candidate.exists());
        let found = found.unwrap_or_else(|| panic!("{}: where is module {name}?", file.display()));
        declared(&found, &[path, &[name]].concat(), modules);
    }
}

fn parsed(file: &Path) -> syn::File {
    let text = std::fs::read_to_string(file).unwrap();
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
            // What is compiled for tests of other crates, too, is code.
            && !attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("feature"))
    })
}

/// What a file names: paths, and the names that its imports give to modules.
#[derive(Default)]
struct Named {
    paths: Vec<Vec<String>>,
    imports: Vec<Vec<String>>,
}

impl Named {
    fn import(&mut self, begin: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.import(&[begin, &[path.ident.to_string()]].concat(), &path.tree),
            UseTree::Name(name) => self.imports.push([begin, &[name.ident.to_string()]].concat()),
            UseTree::Rename(name) => self.imports.push([begin, &[name.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.imports.push(begin.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(begin, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Named {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's, and grows")]
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&[], &item.tree);
    }

    /// Who may see something is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The path from the crate's root that `path` means in the module `here`; none if it is another crate's.
fn absolute(
    path: &[String],
    here: &[String],
    modules: &Modules,
    imports: &[Vec<String>],
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([here, rest].concat()),
        "super" => absolute(&[&["self".to_owned()], rest].concat(), here.split_last()?.1, modules, imports),
        name => {
            let child = [here, &[name.to_owned()]].concat();
            if modules.contains_key(&child) {
                return Some([child.as_slice(), rest].concat());
            }
            let import = imports
                .iter()
                .find(|import| import.len() > 1 && import.last().is_some_and(|last| last == name))?;
            let import = absolute(import, here, modules, &[])?;
            Some([import.as_slice(), rest].concat())
        }
    }
}

/// The file of the module that `path` is in, and whether it is that module itself.
fn file_of<'a>(path: &[String], modules: &'a Modules) -> &'a PathBuf {
    let longest = (0..=path.len()).rev().find_map(|length| modules.get(path.get(..length)?));
    longest.unwrap()
}

/// Which files of a crate import which.
fn imports(source: &Path) -> Edges<PathBuf> {
    let mut edges = Edges::new();
    let bins = std::fs::read_dir(source.join("bin")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let bins = bins.map(|bin| if bin.is_dir() { bin.join("main.rs") } else { bin });
    let roots = [source.join("lib.rs"), source.join("main.rs")].into_iter().chain(bins);
    for root in roots.filter(|root| root.exists()) {
        let mut modules = Modules::new();
        declared(&root, &[], &mut modules);
        for (here, file) in &modules {
            let mut named = Named::default();
            named.visit_file(&parsed(file));
            let targets = edges.entry(file.clone()).or_insert_with(BTreeSet::new);
            for path in named.imports.iter().chain(&named.paths) {
                let known = absolute(path, here, &modules, &named.imports);
                let target = known.map(|known| file_of(&known, &modules));
                targets.extend(target.filter(|target| *target != file).cloned());
            }
        }
    }
    edges
}

/// A circle, if there is one: each imports the next.
fn circle<Node: Ord + Clone>(edges: &Edges<Node>) -> Option<Vec<Node>> {
    fn follow<Node: Ord + Clone>(
        node: &Node,
        edges: &Edges<Node>,
        way: &mut Vec<Node>,
        done: &mut BTreeSet<Node>,
    ) -> Option<Vec<Node>> {
        if let Some(begin) = way.iter().position(|before| before == node) {
            return Some(way.split_off(begin));
        }
        if done.contains(node) {
            return None;
        }
        way.push(node.clone());
        for next in edges.get(node).into_iter().flatten() {
            if let Some(circle) = follow(next, edges, way, done) {
                return Some(circle);
            }
        }
        way.pop();
        done.insert(node.clone());
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|node| follow(node, edges, &mut Vec::new(), &mut done))
}

/// Which rooms of each folder import which: a room is a file, a folder, or both if they have one name.
fn rooms(edges: &Edges<PathBuf>, source: &Path) -> BTreeMap<PathBuf, Edges<String>> {
    let mut found: BTreeMap<PathBuf, Edges<String>> = BTreeMap::new();
    let parts = |file: &Path| -> Vec<String> {
        let inside = file.strip_prefix(source).unwrap().with_extension("");
        inside.iter().map(|part| part.to_string_lossy().into_owned()).collect()
    };
    for (from, targets) in edges {
        for target in targets {
            let (from, to) = (parts(from), parts(target));
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            // Of a file and the folder of its name the first is the door of the second.
            let (Some(from_room), Some(to_room)) = (from.get(shared), to.get(shared)) else { continue };
            let folder = source.join(from.iter().take(shared).collect::<PathBuf>());
            let of_folder = found.entry(folder).or_default();
            of_folder.entry(from_room.clone()).or_default().insert(to_room.clone());
        }
    }
    found
}

#[test]
fn no_files_and_no_rooms_import_each_other_in_a_circle() {
    let (mut circles, mut files) = (Vec::new(), 0);
    let sources = sources();
    assert!(
        sources.iter().any(|source| source.ends_with("operator/tests/model")),
        "no tree of tests is read"
    );
    for source in sources {
        let edges = imports(&source);
        files += edges.len();
        let shown = |file: &PathBuf| file.strip_prefix(&source).unwrap().display().to_string();
        if let Some(circle) = circle(&edges) {
            let names: Vec<_> = circle.iter().map(shown).collect();
            circles.push(format!("{}: {}", source.display(), names.join(" → ")));
        }
        for (folder, rooms) in rooms(&edges, &source) {
            if let Some(circle) = circle(&rooms) {
                circles.push(format!("{}: rooms {}", folder.display(), circle.join(" → ")));
            }
        }
    }
    assert!(files > 150, "only {files} files were read");
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let edges = |pairs: &[(&'static str, &'static str)]| {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry(*from).or_insert_with(BTreeSet::new).insert(*to);
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    assert_eq!(circle(&edges(&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")])), Some(vec!["a", "b", "c"]));
}
