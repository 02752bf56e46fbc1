//! Manifest files as they lie on disk, for `lockstep check PATH`: no repository, no revision.
//!
//! A folder is walked without following symbolic links, for names that end in `.yaml` or `.yml`; a file that is named
//! itself is read whatever it is called.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Larger files are not manifests: the API server takes objects of about 1.5 MiB.
const LARGEST: u64 = 1024 * 1024;
/// Of folders below each other.
const DEEPEST: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum ReadFilesError {
    #[error("read {}", path.display())]
    ReadPath {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// A file and its content, or why it cannot be read.
pub struct Text {
    pub path: String,
    pub content: Result<Vec<u8>, String>,
}

/// All manifest files of the given files and folders, in the order given and then by name.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Text>, ReadFilesError> {
    let mut texts = Vec::new();
    for path in paths {
        let found = fs::metadata(path).map_err(|source| ReadFilesError::ReadPath {
            path: path.clone(),
            source,
        })?;
        if found.is_dir() {
            walk(path, 0, &mut texts)?;
        } else {
            texts.push(text(path));
        }
    }
    Ok(texts)
}

fn walk(folder: &Path, depth: usize, texts: &mut Vec<Text>) -> Result<(), ReadFilesError> {
    let error = |source| ReadFilesError::ReadPath {
        path: folder.to_owned(),
        source,
    };
    if depth > DEEPEST {
        return Err(error(std::io::Error::other(format!(
            "more than {DEEPEST} folders below each other"
        ))));
    }
    let mut entries = fs::read_dir(folder)
        .map_err(error)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(error)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        // Of the entry itself: a link is neither a folder nor a file here.
        let kind = entry.file_type().map_err(error)?;
        if kind.is_dir() {
            walk(&path, depth + 1, texts)?;
        } else if kind.is_file()
            && path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
        {
            texts.push(text(&path));
        }
    }
    Ok(())
}

fn text(path: &Path) -> Text {
    let mut content = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content));
    let content = match read {
        Err(error) => Err(error.to_string()),
        Ok(_) if content.len() as u64 > LARGEST => {
            Err(format!("it is larger than {} KiB", LARGEST / 1024))
        }
        Ok(_) => Ok(content),
    };
    Text {
        path: path.to_string_lossy().into_owned(),
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_manifests_and_no_links() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.txt", ".d.yaml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("b.yaml", folder.path().join("link.yaml")).unwrap();
        let texts = read(&[folder.path().to_owned()]).unwrap();
        let names: Vec<&str> = texts
            .iter()
            .filter_map(|text| text.path.rsplit('/').next())
            .collect();
        assert_eq!(names, ["a.yml", "b.yaml"]);
    }

    #[test]
    fn a_file_that_is_too_large_says_so_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.yaml");
        fs::write(&large, vec![b'a'; 5 * 1024 * 1024]).unwrap();
        let texts = read(&[large]).unwrap();
        assert_eq!(
            texts[0].content.as_ref().unwrap_err(),
            "it is larger than 1024 KiB"
        );
        assert!(read(&[folder.path().join("none.yaml")]).is_err());
    }
}
