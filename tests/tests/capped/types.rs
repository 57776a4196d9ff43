//! The types of the crates that a machine is made of, as their sources define them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Expr, Fields, Generics, Ident, Item, Type, TypeSlice, UseTree};

/// Whose types a machine may hold: the name of a crate, and where its sources are.
const CRATES: [(&str, &str); 6] = [
    ("crypto", "crypto/src/"),
    ("consensus", "consensus/src/"),
    ("mempool", "mempool/src/"),
    ("storage", "storage/src/"),
    ("genesis", "genesis/src/"),
    ("engine", "node/engine/src/"),
];
/// What grows.
const COLLECTIONS: [&str; 6] = [
    "Vec",
    "VecDeque",
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "String",
];

/// A field of a structure, or of a variant.
pub struct Field {
    /// `Structure.field` or `Enum::Variant.field`; by its number if it has no name.
    pub name: String,
    /// All that its type names, path by path.
    paths: Vec<Vec<String>>,
    /// Whether it holds as many of something as one likes.
    pub grows: bool,
}

/// A structure, an enumeration, another name for a type, or one type that has a trait.
pub struct Definition {
    /// Where it is.
    pub file: String,
    name: String,
    /// Whether it is a trait that the name stands for: which types have it, is said anywhere.
    open: bool,
    /// What stands for any type.
    parameters: BTreeSet<String>,
    /// What it holds.
    pub fields: Vec<Field>,
}

/// All of them.
#[derive(Default)]
pub struct Types {
    all: Vec<Definition>,
    /// By file and name there: the crate, and the name there.
    imports: BTreeMap<(String, String), (String, String)>,
}

impl Types {
    /// Those of the sources below a root; what is there for tests is left out.
    pub fn read(root: &Path) -> Self {
        let mut types = Self::default();
        for (_, folder) in CRATES {
            types.folder(root, folder.trim_end_matches('/'));
        }
        types
    }

    fn folder(&mut self, root: &Path, folder: &str) {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if ["tests", "tests.rs", "testing"].contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                self.folder(root, &path);
            } else if name.ends_with(".rs") {
                self.file(&path, &fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    /// Those of a file.
    pub fn file(&mut self, file: &str, text: &str) {
        for item in syn::parse_file(text).unwrap().items {
            match item {
                Item::Struct(it) => {
                    let fields = fields(&it.ident.to_string(), &it.fields);
                    self.define(file, (&it.ident, false), &it.generics, fields);
                }
                Item::Enum(it) => {
                    let variants = it.variants.iter();
                    let of = |variant| format!("{}::{}", it.ident, variant);
                    let fields = variants.flat_map(|v| fields(&of(&v.ident), &v.fields));
                    self.define(file, (&it.ident, false), &it.generics, fields.collect());
                }
                Item::Type(it) => {
                    let field = Field::of(it.ident.to_string(), &it.ty);
                    self.define(file, (&it.ident, false), &it.generics, vec![field]);
                }
                Item::Impl(it) => {
                    if let Some((of, _)) = &it.trait_ {
                        let name = &of.segments.last().unwrap().ident;
                        let field = Field::of(name.to_string(), &it.self_ty);
                        self.define(file, (name, true), &it.generics, vec![field]);
                    }
                }
                Item::Use(it) => self.import(file, &mut Vec::new(), &it.tree),
                _ => {}
            }
        }
    }

    fn define(
        &mut self,
        file: &str,
        (name, open): (&Ident, bool),
        generics: &Generics,
        fields: Vec<Field>,
    ) {
        let parameters = generics.type_params();
        self.all.push(Definition {
            file: file.to_owned(),
            name: name.to_string(),
            open,
            parameters: parameters.map(|it| it.ident.to_string()).collect(),
            fields,
        });
    }

    fn import(&mut self, file: &str, path: &mut Vec<String>, tree: &UseTree) {
        let mut name = |path: &[String], here: &Ident, there: &Ident| {
            let first = path.first().cloned().unwrap_or_else(|| there.to_string());
            let key = (file.to_owned(), here.to_string());
            self.imports.insert(key, (first, there.to_string()));
        };
        match tree {
            UseTree::Path(it) => {
                path.push(it.ident.to_string());
                self.import(file, path, &it.tree);
                path.pop();
            }
            UseTree::Name(it) => name(path, &it.ident, &it.ident),
            UseTree::Rename(it) => name(path, &it.rename, &it.ident),
            UseTree::Group(it) => it.items.iter().for_each(|it| self.import(file, path, it)),
            UseTree::Glob(_) => {}
        }
    }

    /// All structures, enumerations and other names.
    pub fn all(&self) -> impl Iterator<Item = &Definition> {
        self.all.iter().filter(|it| !it.open)
    }

    /// What a field of a definition may hold: all types of the crate in question that have this name,
    /// since a few too many do no harm; and what is defined nowhere.
    pub fn held(&self, by: &Definition, field: &Field) -> (Vec<&Definition>, Vec<String>) {
        let (mut held, mut foreign) = (Vec::new(), Vec::new());
        for path in &field.paths {
            if path.len() == 1 && (by.parameters.contains(&path[0]) || path[0] == "Self") {
                continue;
            }
            let found = self.meant(by, path);
            if found.is_empty() {
                foreign.push(path.join("::"));
            }
            held.extend(found);
        }
        (held, foreign)
    }

    fn meant(&self, by: &Definition, path: &[String]) -> Vec<&Definition> {
        let (first, last) = (&path[0], path.last().unwrap());
        let import = self.imports.get(&(by.file.clone(), first.clone()));
        let (from, name) = match import {
            Some((from, there)) if path.len() == 1 => (from, there),
            Some((from, _)) => (from, last),
            None => (first, last),
        };
        let named = CRATES.iter().find(|it| it.0 == from);
        let own = || CRATES.iter().find(|it| by.file.starts_with(it.1));
        let source = named.or_else(own);
        // Of the parts of a parameter nobody knows whose they are; who has a trait is listed by itself.
        let anywhere = by.parameters.contains(first);
        let fits = |it: &&Definition| {
            let there = source.is_some_and(|source| it.file.starts_with(source.1));
            it.name == *name && (anywhere || there || it.open)
        };
        self.all.iter().filter(fits).collect()
    }
}

impl Field {
    fn of(name: String, kind: &Type) -> Self {
        let mut names = Names::default();
        names.visit_type(kind);
        let collection = |path: &Vec<String>| COLLECTIONS.contains(&path.last().unwrap().as_str());
        let grows = names.slice || names.paths.iter().any(collection);
        let paths = names.paths;
        Self { name, paths, grows }
    }
}

fn fields(of: &str, fields: &Fields) -> Vec<Field> {
    let named = |(i, field): (usize, &syn::Field)| {
        let name = field.ident.as_ref().map_or(i.to_string(), Ident::to_string);
        Field::of(format!("{of}.{name}"), &field.ty)
    };
    fields.iter().enumerate().map(named).collect()
}

/// What a type names.
#[derive(Default)]
struct Names {
    paths: Vec<Vec<String>>,
    slice: bool,
}

impl<'a> Visit<'a> for Names {
    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path.segments.iter();
        self.paths
            .push(segments.map(|it| it.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
    /// The length of an array is none.
    fn visit_expr(&mut self, _: &'a Expr) {}
    fn visit_type_slice(&mut self, slice: &'a TypeSlice) {
        self.slice = true;
        visit::visit_type_slice(self, slice);
    }
}
