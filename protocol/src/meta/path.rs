//! The path of a file inside a torrent: always relative, always below the folder it is joined to.
//!
//! [`FilePath`] can only be made by sanitising, so whoever holds one may join it to a download folder. What Linux
//! allows in a name is kept as it is, since a payload must be found under the name it was shared with.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Longest component in bytes: what Linux file systems take (NAME_MAX).
pub const MAX_COMPONENT_LENGTH: usize = 255;
/// Longest path in bytes, from the torrent's name on: what Linux takes in one call (PATH_MAX).
pub const MAX_PATH_LENGTH: usize = 4_095;
/// Most components of a path below the torrent's name; deeper ones cost time out of proportion.
pub const MAX_PATH_DEPTH: usize = 100;
/// Longest extension, in bytes with its dot, that is kept when a name is shortened; more is no extension.
const MAX_EXTENSION_LENGTH: usize = 16;
/// Stands for a path of which nothing was left, and for characters that no file name can have.
const REPLACEMENT: &str = "_";

/// A sanitised path: the torrent's name, then, in a torrent of many files, the file's own components.
///
/// No component is empty, `.` or `..`, has a `/` or NUL in it, or is longer than [`MAX_COMPONENT_LENGTH`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath {
    /// The torrent's name, shared by all its files.
    root: Arc<str>,
    /// The components below it, joined by `/`; empty for the only file of a single-file torrent.
    below: Box<str>,
}

impl FilePath {
    /// The path of the only file of a single-file torrent. `root` comes from [`sanitise_name`].
    pub(super) fn single(root: Arc<str>) -> Self {
        Self { root, below: Box::default() }
    }

    /// The path of a file below `root`, which comes from [`sanitise_name`]. Components that name no file are
    /// dropped; when none is left, `_` stands for them.
    pub(super) fn new<'a>(root: &Arc<str>, components: impl IntoIterator<Item = Cow<'a, str>>) -> Self {
        let mut below = String::new();
        for component in components {
            let Some(component) = sanitise(&component) else { continue };
            if !below.is_empty() {
                below.push('/');
            }
            below.push_str(&component);
        }
        if below.is_empty() {
            below.push_str(REPLACEMENT);
        }
        Self { root: Arc::clone(root), below: below.into() }
    }

    /// The same file under another path below the torrent's name, made of sanitised components and no longer than
    /// [`MAX_PATH_LENGTH`] with it.
    pub(super) fn moved(&self, below: String) -> Self {
        let moved = Self { root: Arc::clone(&self.root), below: below.into() };
        debug_assert!(moved.length() <= MAX_PATH_LENGTH, "{moved}");
        moved
    }

    /// The torrent's name.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The path below the torrent's name, joined by `/`; empty for the file of a single-file torrent.
    pub fn below_root(&self) -> &str {
        &self.below
    }

    /// The components from the torrent's name on; never none.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        let below = self.below.split('/').filter(|component| !component.is_empty());
        std::iter::once(self.root()).chain(below)
    }

    /// Bytes in the path as it is displayed.
    pub(super) fn length(&self) -> usize {
        let below = self.below.len();
        self.root.len() + below + usize::from(below > 0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        if self.below.is_empty() { Ok(()) } else { write!(f, "/{}", self.below) }
    }
}

/// Makes a component out of a torrent's name: as a component of a path, but always something.
pub(super) fn sanitise_name(name: &str) -> Arc<str> {
    sanitise(name).map_or_else(|| Arc::from(REPLACEMENT), Arc::from)
}

/// Makes a component out of any text; `None` when it names no file of its own (empty, `.` and `..`).
fn sanitise(text: &str) -> Option<Cow<'_, str>> {
    if matches!(text, "" | "." | "..") {
        return None;
    }
    let mut text = Cow::Borrowed(text);
    if text.contains(['/', '\0']) {
        text = text.replace(['/', '\0'], REPLACEMENT).into();
    }
    if text.len() > MAX_COMPONENT_LENGTH {
        let (stem, extension) = split_extension(&text);
        text = format!("{}{extension}", shorten(stem, MAX_COMPONENT_LENGTH - extension.len())).into();
    }
    Some(text)
}

/// Splits a component before the dot of its extension, if it has one.
pub(super) fn split_extension(component: &str) -> (&str, &str) {
    match component.rfind('.') {
        Some(dot) if dot > 0 && component.len() - dot <= MAX_EXTENSION_LENGTH => component.split_at(dot),
        _ => (component, ""),
    }
}

/// As much of `text` as fits `length` bytes without cutting a character.
pub(super) fn shorten(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(components: &[&str]) -> String {
        let components = components.iter().map(|component| Cow::Borrowed(*component));
        FilePath::new(&sanitise_name("root"), components).to_string()
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for name in ["a", "...", ".hidden", " spaced ", "back\\slash", "é\u{301}", "new\nline", "con", "a:b"]
        {
            assert_eq!(path(&["folder", name]), format!("root/folder/{name}"));
        }
    }

    #[test]
    fn no_path_leaves_its_folder() {
        assert_eq!(path(&["..", "..", "etc", "passwd"]), "root/etc/passwd");
        assert_eq!(path(&["/etc/passwd"]), "root/_etc_passwd");
        assert_eq!(path(&["a", "../../b"]), "root/a/.._.._b");
        assert_eq!(path(&["a", ".", "", "b"]), "root/a/b");
        assert_eq!(path(&["nul\0inside"]), "root/nul_inside");
    }

    #[test]
    fn a_path_of_which_nothing_is_left_gets_a_name() {
        assert_eq!(path(&[]), "root/_");
        assert_eq!(path(&["..", ".", ""]), "root/_");
        assert_eq!(&*sanitise_name(".."), "_");
        assert_eq!(&*sanitise_name("/"), "_");
    }

    #[test]
    fn an_overlong_name_is_shortened_between_characters_and_keeps_its_extension() {
        let long = format!("{}.tar", "é".repeat(200));
        let short = sanitise(&long).unwrap();
        assert_eq!(*short, format!("{}.tar", "é".repeat(125)));
        assert_eq!(sanitise(&"x".repeat(300)).unwrap().len(), MAX_COMPONENT_LENGTH);
        assert_eq!(sanitise(&format!("a.{}", "x".repeat(300))).unwrap().len(), MAX_COMPONENT_LENGTH);
    }

    #[test]
    fn a_path_knows_its_components_and_its_length() {
        let root = sanitise_name("root");
        let single = FilePath::single(Arc::clone(&root));
        assert_eq!(single.components().collect::<Vec<_>>(), ["root"]);
        assert_eq!((single.to_string().as_str(), single.length()), ("root", 4));
        let below = FilePath::new(&root, ["a".into(), "b.c".into()]);
        assert_eq!(below.components().collect::<Vec<_>>(), ["root", "a", "b.c"]);
        assert_eq!((below.to_string().as_str(), below.length()), ("root/a/b.c", 10));
        assert_eq!((below.root(), below.below_root()), ("root", "a/b.c"));
    }

    #[test]
    fn only_a_short_tail_behind_a_dot_is_an_extension() {
        assert_eq!(split_extension("a.b.mkv"), ("a.b", ".mkv"));
        assert_eq!(split_extension(".profile"), (".profile", ""));
        assert_eq!(split_extension("vol. 1, the long beginning"), ("vol. 1, the long beginning", ""));
    }

    proptest! {
        #[test]
        fn no_forbidden_component_survives(
            name in ".{0,5}|[./\0]{0,4}|a{250,260}|.{80,120}",
            components in prop::collection::vec("[./\0a]{0,4}|.{0,300}", 0..8),
        ) {
            let root = sanitise_name(&name);
            let path = FilePath::new(&root, components.iter().map(|c| Cow::Borrowed(c.as_str())));
            prop_assert!(path.components().count() >= 2);
            for component in path.components() {
                prop_assert!(!["", ".", ".."].contains(&component));
                prop_assert!(!component.contains(['/', '\0']));
                prop_assert!(component.len() <= MAX_COMPONENT_LENGTH);
            }
            prop_assert_eq!(path.to_string().split('/').count(), path.components().count());
            prop_assert_eq!(path.to_string().len(), path.length());
        }
    }
}
