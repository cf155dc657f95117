//! Reads which files of a crate each of its files imports.
//!
//! An import is a `use` declaration or a path with `::` in it. The files are lexed and not parsed, so
//! that paths in macros count like all others. A path to an item leads to the file that defines it:
//!
//! 1. Paths are looked up as the compiler does: from `crate`, `self` and `super`, or from the names
//!    in scope, block by block and then in the module.
//! 2. Re-exports in a *face* and in the root of a crate are followed. A face is a file that holds
//!    only `mod` lines and `use` declarations. A re-export in another file is not followed: a path
//!    through it imports that file.
//! 3. A name that is not found, for example one that a macro defines, belongs to the file of the
//!    module in which the path looks for it.
//! 4. Code that is compiled for tests only is left out. So is the content of `quote!`, which is code
//!    for another crate.
//!
//! It does not see the paths in the expansion of a derive or an attribute, nor calls of methods.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proc_macro2::Delimiter;

use super::tokens::{Kind, Token, tokens};

/// The Rust files of a package: sources by paths, with slashes and relative to the package.
pub(super) type Files = BTreeMap<String, String>;

/// The file in which a crate begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root<'a> {
    pub(super) file: &'a str,
    /// The name by which other crates of the package import this one.
    pub(super) name: Option<&'a str>,
}

/// A file imports another file, an item in it, or a path of another package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) target: String,
}

/// What [`read`] found.
#[derive(Debug)]
pub(super) struct Reading {
    /// The files that are compiled outside of tests.
    pub(super) files: BTreeSet<String>,
    /// Each face, with the folder of its child modules.
    pub(super) faces: BTreeMap<String, String>,
    pub(super) imports: BTreeSet<Import>,
    /// The paths that lead out of the package, such as `std::net::IpAddr`.
    pub(super) outside: BTreeSet<Import>,
    /// The files that no `mod` line declares.
    pub(super) undeclared: BTreeSet<String>,
}

/// Reads the imports of all crates of a package.
pub(super) fn read(files: &Files, roots: &[Root<'_>]) -> Result<Reading, String> {
    let mut tree = Tree {
        files,
        modules: Vec::new(),
        crates: BTreeMap::new(),
        faces: BTreeMap::new(),
        macros: BTreeMap::new(),
        mentions: Vec::new(),
        tests: Vec::new(),
    };
    for root in roots {
        let module = tree.add_file(root.file, folder_of(root.file).to_owned(), None)?;
        if let Some(name) = root.name {
            tree.crates.insert(name.to_owned(), module);
        }
    }
    Ok(tree.finish())
}

/// The folder of a file: empty, or with a slash at its end.
fn folder_of(file: &str) -> &str {
    file.rfind('/').map_or("", |slash| &file[..=slash])
}

/// The index of a module in [`Tree::modules`].
type Id = usize;

/// The segments of a path. A `::` at its beginning is an empty segment.
type Path = Vec<String>;

/// A module, or the content of a group of tokens, such as a function's body.
#[derive(Debug)]
struct Module {
    /// The module around it; `None` for the root of a crate.
    parent: Option<Id>,
    is_block: bool,
    file: String,
    /// The folder that holds the files of its child modules.
    folder: String,
    names: BTreeMap<String, Vec<Binding>>,
    globs: Vec<Path>,
}

#[derive(Clone, Debug)]
enum Binding {
    Module(Id),
    /// A type or a trait, which can stand before `::`.
    Type,
    /// A function, a constant or a macro.
    Value,
    Use(Path),
}

/// A path in the code, or the name of a macro that is called.
#[derive(Debug)]
struct Mention {
    module: Id,
    line: usize,
    path: Path,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Use,
    /// `use path::*`
    Glob,
    /// Anywhere else.
    Code,
    /// A macro's name without a path.
    Macro,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Module(Id),
    /// An item in this file.
    Item(String),
    /// Something outside of the package, by its full path as far as that is known.
    Elsewhere(Path),
}

#[derive(Debug)]
struct Tree<'a> {
    files: &'a Files,
    modules: Vec<Module>,
    /// The roots of the crates that have a name.
    crates: BTreeMap<String, Id>,
    /// Each face, with the folder of its child modules.
    faces: BTreeMap<String, String>,
    /// The files that define a macro of this name.
    macros: BTreeMap<String, BTreeSet<String>>,
    mentions: Vec<Mention>,
    /// Modules for tests: their file and the folder of their child modules.
    tests: Vec<(String, String)>,
}

// The first pass finds the modules, what they declare, and the paths in them.
impl Tree<'_> {
    fn add_file(&mut self, file: &str, folder: String, parent: Option<Id>) -> Result<Id, String> {
        let source = self
            .files
            .get(file)
            .ok_or_else(|| format!("{file}: this file is missing"))?;
        let tokens = tokens(source).map_err(|error| format!("{file}: {error}"))?;
        if parent.is_some() && is_face(&tokens) {
            self.faces.insert(file.to_owned(), folder.clone());
        }
        let module = self.add_module(parent, false, file.to_owned(), folder);
        self.walk(module, &tokens)?;
        Ok(module)
    }

    fn add_module(
        &mut self,
        parent: Option<Id>,
        is_block: bool,
        file: String,
        folder: String,
    ) -> Id {
        self.modules.push(Module {
            parent,
            is_block,
            file,
            folder,
            names: BTreeMap::new(),
            globs: Vec::new(),
        });
        self.modules.len() - 1
    }

    fn bind(&mut self, module: Id, name: &str, binding: Binding) {
        let names = &mut self.modules[module].names;
        names.entry(name.to_owned()).or_default().push(binding);
    }

    fn mention(&mut self, module: Id, line: usize, path: Path, place: Place) {
        self.mentions.push(Mention {
            module,
            line,
            path,
            place,
        });
    }

    fn walk(&mut self, module: Id, tokens: &[Token]) -> Result<(), String> {
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            index += match &token.kind {
                Kind::Word(_) => match self.declaration(module, tokens, index)? {
                    0 => self.path(module, tokens, index)?,
                    taken => taken,
                },
                Kind::PathSep => self.path(module, tokens, index)?,
                Kind::Group(_, inner) => {
                    let (file, folder) = {
                        let around = &self.modules[module];
                        (around.file.clone(), around.folder.clone())
                    };
                    let block = self.add_module(Some(module), true, file, folder);
                    self.walk(block, inner)?;
                    1
                }
                Kind::Attribute(inner) => {
                    self.walk(module, inner)?;
                    self.paths_in_strings(module, inner)?;
                    1
                }
                Kind::TestOnly(inner) => {
                    self.add_tests(module, inner);
                    1
                }
                Kind::Literal(_) | Kind::Sign(_) => 1,
            };
        }
        Ok(())
    }

    /// Reads a declaration at `index`. Returns how many of its tokens are dealt with: none if it is
    /// no declaration.
    fn declaration(&mut self, module: Id, tokens: &[Token], index: usize) -> Result<usize, String> {
        let rest = &tokens[index..];
        let is = |place: usize, word: &str| rest.get(place).is_some_and(|it| it.is_word(word));
        let sign = |place: usize, sign| rest.get(place).is_some_and(|it| it.is_sign(sign));
        let name = |place: usize| rest.get(place).and_then(Token::word).map(plain);

        // `pub(in path)` imports nothing.
        if is(0, "pub") {
            let restriction = rest
                .get(1)
                .and_then(|token| token.group(Delimiter::Parenthesis));
            let is_path = restriction.is_some_and(|tokens| {
                tokens.first().is_some_and(|token| token.is_word("in")) || tokens.len() == 1
            });
            return Ok(if is_path { 2 } else { 1 });
        }
        // `impl Trait + use<'a>` declares nothing.
        if is(0, "use") && !sign(1, '<') {
            let end = rest.iter().position(|token| token.is_sign(';'));
            let end = end.unwrap_or(rest.len());
            for leaf in leaves(&rest[1..end], &[]) {
                if leaf.place == Place::Glob {
                    self.modules[module].globs.push(leaf.path.clone());
                } else if let Some(name) = &leaf.name {
                    self.bind(module, name, Binding::Use(leaf.path.clone()));
                }
                self.mention(module, leaf.line, leaf.path, leaf.place);
            }
            return Ok(end);
        }
        if is(0, "macro_rules")
            && sign(1, '!')
            && let Some(name) = name(2)
        {
            let file = self.modules[module].file.clone();
            self.macros.entry(name.to_owned()).or_default().insert(file);
            self.bind(module, name, Binding::Value);
            return Ok(3);
        }
        let Some(name) = name(1) else { return Ok(0) };
        match rest[0].word() {
            Some("mod") => {
                let parent = self.enclosing(module);
                if let Some(inner) = rest.get(2).and_then(|it| it.group(Delimiter::Brace)) {
                    let around = &self.modules[module];
                    let (file, folder) = (around.file.clone(), format!("{}{name}/", around.folder));
                    let child = self.add_module(Some(parent), false, file, folder);
                    self.bind(module, name, Binding::Module(child));
                    self.walk(child, inner)?;
                } else if let Some((file, folder)) = self.find(module, name, &tokens[..index]) {
                    // In the braces of a macro, the line belongs to the module around the macro.
                    let child = self.add_file(&file, folder, Some(parent))?;
                    self.bind(parent, name, Binding::Module(child));
                }
                Ok(3)
            }
            Some("struct" | "enum" | "union" | "trait" | "type") => {
                self.bind(module, name, Binding::Type);
                Ok(2)
            }
            // In `const fn` the name follows later.
            Some("const") if matches!(name, "fn" | "unsafe" | "async" | "extern") => Ok(1),
            Some("fn" | "const" | "static") => {
                self.bind(module, name, Binding::Value);
                Ok(2)
            }
            _ => Ok(0),
        }
    }

    /// Reads a path at `index`, and what comes with it if a macro is called.
    fn path(&mut self, module: Id, tokens: &[Token], index: usize) -> Result<usize, String> {
        let line = tokens[index].line;
        let (mut path, mut end) = (Path::new(), index);
        if tokens[end].is_path_sep() {
            path.push(String::new());
            end += 1;
        }
        while let Some(word) = tokens.get(end).and_then(Token::word) {
            path.push(plain(word).to_owned());
            end += 1;
            let goes_on = matches!(&tokens[end..], [colons, word, ..]
                if colons.is_path_sep() && word.word().is_some());
            if !goes_on {
                break;
            }
            end += 1;
        }
        let taken = (end - index).max(1);

        let call = match &tokens[end..] {
            [not, group, ..] if not.is_sign('!') && matches!(group.kind, Kind::Group(..)) => {
                Some(group.inner())
            }
            _ => None,
        };
        // A path after `$name`, after `#name` or after `<T as Trait>` does not begin here.
        let before = index.checked_sub(1).map(|before| &tokens[before]);
        let begins = before.is_none_or(|before| {
            let is_rest = tokens[index].is_path_sep() && before.is_sign('>');
            !is_rest && !before.is_sign('$') && !before.is_sign('#')
        });
        let last = path.last().cloned().unwrap_or_default();
        if begins && path.len() > 1 {
            self.mention(module, line, path, Place::Code);
        } else if begins && call.is_some() {
            self.mention(module, line, path, Place::Macro);
        }

        Ok(match (last.as_str(), call) {
            ("quote" | "parse_quote", Some(_)) => taken + 2,
            ("quote_spanned" | "parse_quote_spanned", Some(inner)) => {
                // The span before `=>` is code of this crate.
                let arrow = inner
                    .windows(2)
                    .position(|two| two[0].is_sign('=') && two[1].is_sign('>'));
                self.walk(module, &inner[..arrow.unwrap_or(0)])?;
                taken + 2
            }
            _ => taken,
        })
    }

    /// Reads the strings of an attribute that hold a path, as in `#[serde(with = "crate::time")]`.
    fn paths_in_strings(&mut self, module: Id, tokens: &[Token]) -> Result<(), String> {
        for token in tokens {
            self.paths_in_strings(module, token.inner())?;
            let Kind::Literal(text) = &token.kind else {
                continue;
            };
            let text = text.trim_matches('"');
            if ["crate::", "self::", "super::"]
                .iter()
                .any(|start| text.starts_with(start))
                && let Ok(mut path) = super::tokens::tokens(text)
            {
                for part in &mut path {
                    part.line = token.line;
                }
                self.walk(module, &path)?;
            }
        }
        Ok(())
    }

    /// Notes the files of modules that are compiled for tests only.
    fn add_tests(&mut self, module: Id, tokens: &[Token]) {
        for (index, token) in tokens.iter().enumerate() {
            let name = tokens.get(index + 1).and_then(Token::word);
            if token.is_word("mod")
                && let Some(name) = name
                && let Some(found) = self.find(module, plain(name), &tokens[..index])
            {
                self.tests.push(found);
            }
        }
    }

    /// The file of a child module, and the folder of that module's own children.
    fn find(&self, module: Id, name: &str, before: &[Token]) -> Option<(String, String)> {
        let Module { file, folder, .. } = &self.modules[module];
        let attributes = before
            .iter()
            .rev()
            .skip_while(|token| matches!(token.kind, Kind::Word(_) | Kind::Group(..)))
            .map_while(|token| match &token.kind {
                Kind::Attribute(inner) => Some(inner.as_slice()),
                _ => None,
            });
        for attribute in attributes {
            if let [path, _, text] = attribute
                && path.is_word("path")
                && let Kind::Literal(text) = &text.kind
            {
                let file = format!("{}{}", folder_of(file), text.trim_matches('"'));
                let folder = folder_of(&file).to_owned();
                return self.files.contains_key(&file).then_some((file, folder));
            }
        }
        let children = format!("{folder}{name}/");
        [format!("{folder}{name}.rs"), format!("{children}mod.rs")]
            .into_iter()
            .find(|file| self.files.contains_key(file))
            .map(|file| (file, children))
    }

    /// The module itself, or the one around a block.
    fn enclosing(&self, module: Id) -> Id {
        match &self.modules[module] {
            Module {
                is_block: true,
                parent: Some(parent),
                ..
            } => self.enclosing(*parent),
            _ => module,
        }
    }
}

/// An identifier without the `r#` of a raw one.
fn plain(word: &str) -> &str {
    word.strip_prefix("r#").unwrap_or(word)
}

/// Whether a file holds nothing but `mod` lines and `use` declarations.
fn is_face(tokens: &[Token]) -> bool {
    let code = tokens
        .iter()
        .filter(|token| !matches!(token.kind, Kind::Attribute(_) | Kind::TestOnly(_)));
    let code: Vec<_> = code.collect();
    let mut has_child = false;
    for declaration in code.split(|token| token.is_sign(';')) {
        let declaration = match declaration {
            [word, group, rest @ ..]
                if word.is_word("pub") && group.group(Delimiter::Parenthesis).is_some() =>
            {
                rest
            }
            [word, rest @ ..] if word.is_word("pub") => rest,
            all => all,
        };
        match declaration {
            [] => {}
            [word, ..] if word.is_word("use") => {}
            [word, _] if word.is_word("mod") => has_child = true,
            _ => return false,
        }
    }
    has_child
}

/// One path of a `use` declaration.
#[derive(Debug)]
struct Leaf {
    line: usize,
    path: Path,
    place: Place,
    /// Under which name it is in scope, if under any.
    name: Option<String>,
}

/// The paths of a `use` declaration.
fn leaves(tree: &[Token], prefix: &[String]) -> Vec<Leaf> {
    let mut found = Vec::new();
    for part in tree.split(|token| token.is_sign(',')) {
        let Some(first) = part.first() else { continue };
        let (mut path, mut line) = (prefix.to_vec(), first.line);
        let mut rest = part;
        if first.is_path_sep() {
            rest = &part[1..];
            if path.is_empty() {
                path.push(String::new());
            }
        }
        loop {
            match rest {
                [word, colons, after @ ..] if word.word().is_some() && colons.is_path_sep() => {
                    path.extend(word.word().map(|word| plain(word).to_owned()));
                    rest = after;
                }
                [group] if group.group(Delimiter::Brace).is_some() => {
                    found.extend(leaves(group.inner(), &path));
                    break;
                }
                [star] if star.is_sign('*') => {
                    found.push(Leaf {
                        line: star.line,
                        path,
                        place: Place::Glob,
                        name: None,
                    });
                    break;
                }
                [word, alias @ ..] if word.word().is_some() => {
                    line = line.max(word.line);
                    path.extend(word.word().map(|word| plain(word).to_owned()));
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    let name = match alias {
                        [_, alias] => alias.word().map(plain),
                        _ => path.last().map(String::as_str),
                    };
                    found.push(Leaf {
                        line,
                        name: name.filter(|name| *name != "_").map(str::to_owned),
                        path,
                        place: Place::Use,
                    });
                    break;
                }
                // A variable of a macro.
                _ => break,
            }
        }
    }
    found
}

// The second pass finds the files that the paths lead to.
impl Tree<'_> {
    fn finish(self) -> Reading {
        let (mut imports, mut outside) = (BTreeSet::new(), BTreeSet::new());
        for mention in &self.mentions {
            let file = &self.modules[mention.module].file;
            let import = |target| Import {
                file: file.clone(),
                line: mention.line,
                target,
            };
            let (files, paths) = self.imported(mention);
            let others = files.into_iter().filter(|target| target != file);
            imports.extend(others.map(import));
            outside.extend(paths.into_iter().map(import));
        }
        let files: BTreeSet<_> = self.modules.iter().map(|it| it.file.clone()).collect();
        let is_test = |file: &str| {
            let is_in = |(own, folder): &(String, String)| file == own || file.starts_with(folder);
            self.tests.iter().any(is_in)
        };
        let undeclared = self
            .files
            .keys()
            .filter(|file| !files.contains(*file) && !is_test(file))
            .cloned()
            .collect();
        Reading {
            files,
            faces: self.faces,
            imports,
            outside,
            undeclared,
        }
    }

    /// The files that a mention imports, and the paths of other packages.
    fn imported(&self, mention: &Mention) -> (Vec<String>, Vec<String>) {
        let lookup = Lookup::new(self, &self.modules[mention.module].file);
        let targets = match mention.place {
            Place::Use | Place::Glob => lookup.path(mention.module, &mention.path),
            Place::Code => lookup.path_in_code(mention.module, &mention.path),
            Place::Macro => {
                let own = lookup.in_scope(mention.module, &mention.path[0], false);
                let defined = self.macros.get(&mention.path[0]);
                let files = match defined {
                    Some(files) if own.is_empty() => files.iter().cloned().collect(),
                    _ => Vec::new(),
                };
                return (files, Vec::new());
            }
        };
        let (mut files, mut outside) = (Vec::new(), Vec::new());
        for target in targets {
            match target {
                Target::Item(file) => files.push(file),
                Target::Module(module) if mention.place == Place::Glob => {
                    files.extend(lookup.all_of(module));
                }
                // What is imported through a face counts by itself.
                Target::Module(module) if self.is_face(module) => {}
                Target::Module(module) => files.push(self.modules[module].file.clone()),
                Target::Elsewhere(path) => outside.push(path.join("::")),
            }
        }
        (files, outside)
    }

    fn is_face(&self, module: Id) -> bool {
        self.faces.contains_key(&self.modules[module].file)
    }
}

/// Follows the paths of one file.
struct Lookup<'a> {
    tree: &'a Tree<'a>,
    file: &'a str,
    /// The names that are being looked up, since `use` declarations can lead in a circle.
    open: RefCell<Vec<(Id, String, bool)>>,
}

impl<'a> Lookup<'a> {
    fn new(tree: &'a Tree<'a>, file: &'a str) -> Self {
        Self {
            tree,
            file,
            open: RefCell::default(),
        }
    }

    /// What a path leads to. There can be several, since a type, a function and a macro may share a
    /// name.
    fn path(&self, module: Id, path: &[String]) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        match first.as_str() {
            "" => match rest.split_first() {
                Some((name, rest)) => self.members(self.another_crate(name), rest),
                None => Vec::new(),
            },
            "crate" => self.members(vec![Target::Module(self.root(module))], rest),
            "self" => self.members(vec![Target::Module(self.tree.enclosing(module))], rest),
            "super" => self.members(self.parent(self.tree.enclosing(module)), rest),
            name => {
                let mut found = self.in_scope(module, name, !rest.is_empty());
                if found.is_empty() {
                    found = self.another_crate(name);
                }
                self.members(found, rest)
            }
        }
    }

    /// What a path outside of a `use` declaration leads to.
    ///
    /// A path from a type in scope, such as `Type::new`, adds nothing to the `use` of that type.
    fn path_in_code(&self, module: Id, path: &[String]) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        if matches!(first.as_str(), "" | "crate" | "self" | "super") {
            return self.path(module, path);
        }
        let mut found = self.in_scope(module, first, true);
        if found.is_empty() {
            found = self.another_crate(first);
        }
        found.retain(|target| !matches!(target, Target::Item(_)));
        self.members(found, rest)
    }

    /// What the rest of a path leads to from what its beginning leads to.
    fn members(&self, mut targets: Vec<Target>, rest: &[String]) -> Vec<Target> {
        for (index, name) in rest.iter().enumerate() {
            let is_prefix = index + 1 < rest.len();
            let mut next = Vec::new();
            for target in targets {
                next.extend(match target {
                    Target::Module(module) => self.member(module, name, is_prefix),
                    Target::Elsewhere(mut path) => {
                        path.push(name.clone());
                        vec![Target::Elsewhere(path)]
                    }
                    // A variant or an associated item is in the file of its type.
                    Target::Item(file) => vec![Target::Item(file)],
                });
            }
            next.dedup();
            targets = next;
        }
        targets
    }

    fn member(&self, module: Id, name: &str, is_prefix: bool) -> Vec<Target> {
        match name {
            "self" => return vec![Target::Module(module)],
            "super" => return self.parent(module),
            _ => {}
        }
        let found = self.declared(module, name, is_prefix);
        if found.is_empty() {
            vec![Target::Item(self.tree.modules[module].file.clone())]
        } else {
            found
        }
    }

    /// What a name leads to in a block and the blocks around it, up to the module.
    fn in_scope(&self, module: Id, name: &str, is_prefix: bool) -> Vec<Target> {
        let found = self.declared(module, name, is_prefix);
        match self.tree.modules[module] {
            Module {
                is_block: true,
                parent: Some(parent),
                ..
            } if found.is_empty() => self.in_scope(parent, name, is_prefix),
            _ => found,
        }
    }

    /// What a name leads to that is declared in a module or imported into it.
    ///
    /// Only a module or a type can be followed by more of the path, if this is a prefix.
    fn declared(&self, module: Id, name: &str, is_prefix: bool) -> Vec<Target> {
        let key = (module, name.to_owned(), is_prefix);
        if self.open.borrow().contains(&key) {
            return Vec::new();
        }
        self.open.borrow_mut().push(key);
        let own = &self.tree.modules[module];
        let here = || Target::Item(own.file.clone());
        let bindings = own.names.get(name).map_or(&[][..], Vec::as_slice);
        // A module or a type leaves no room for an import of another one with the same name: such an
        // import brings a function or a macro.
        let is_taken = bindings
            .iter()
            .any(|binding| matches!(binding, Binding::Module(_) | Binding::Type));
        let mut found = Vec::new();
        for binding in bindings {
            match binding {
                Binding::Use(_) if is_prefix && is_taken => {}
                Binding::Module(child) => found.push(Target::Module(*child)),
                Binding::Type => found.push(here()),
                Binding::Value if is_prefix => {}
                Binding::Value => found.push(here()),
                Binding::Use(path) if self.follows(module) => {
                    found.extend(self.path(module, path));
                }
                Binding::Use(_) => found.push(here()),
            }
        }
        if found.is_empty() {
            for glob in &own.globs {
                for target in self.path(module, glob) {
                    let Target::Module(source) = target else {
                        continue;
                    };
                    let through = self.declared(source, name, is_prefix);
                    if self.follows(module) {
                        found.extend(through);
                    } else if !through.is_empty() {
                        found.push(here());
                    }
                }
            }
        }
        self.open.borrow_mut().pop();
        found
    }

    /// Whether the `use` declarations of a module are followed to what they import.
    fn follows(&self, module: Id) -> bool {
        let own = &self.tree.modules[module];
        own.file == self.file || self.tree.is_face(module) || self.is_in_root_file(module)
    }

    fn is_in_root_file(&self, module: Id) -> bool {
        self.tree.modules[self.root(module)].file == self.tree.modules[module].file
    }

    /// The files that `use module::*` imports.
    fn all_of(&self, module: Id) -> Vec<String> {
        let own = &self.tree.modules[module];
        if !self.tree.is_face(module) {
            return vec![own.file.clone()];
        }
        let key = (module, "*".to_owned(), false);
        if self.open.borrow().contains(&key) {
            return Vec::new();
        }
        self.open.borrow_mut().push(key);
        let mut files = Vec::new();
        for binding in own.names.values().flatten() {
            if let Binding::Use(path) = binding {
                for target in self.path(module, path) {
                    if let Target::Item(file) = target {
                        files.push(file);
                    }
                }
            }
        }
        for glob in &own.globs {
            for target in self.path(module, glob) {
                match target {
                    Target::Module(source) => files.extend(self.all_of(source)),
                    Target::Item(file) => files.push(file),
                    Target::Elsewhere(_) => {}
                }
            }
        }
        self.open.borrow_mut().pop();
        files
    }

    fn root(&self, module: Id) -> Id {
        self.tree.modules[module]
            .parent
            .map_or(module, |parent| self.root(parent))
    }

    fn parent(&self, module: Id) -> Vec<Target> {
        let parent = self.tree.modules[module].parent;
        parent.map(Target::Module).into_iter().collect()
    }

    /// A crate by its name: one of the package, or any other.
    fn another_crate(&self, name: &str) -> Vec<Target> {
        vec![match self.tree.crates.get(name) {
            Some(root) => Target::Module(*root),
            None => Target::Elsewhere(vec![name.to_owned()]),
        }]
    }
}
