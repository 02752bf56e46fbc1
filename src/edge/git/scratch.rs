//! A repository made for the demo: a few files in a folder of its own, committed as somebody would.
//!
//! The only place that writes to a repository, and only to one that it has made itself.

use std::path::{Path, PathBuf};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("make the repository {}", folder.display())]
    MakeRepository {
        folder: PathBuf,
        source: git2::Error,
    },
    #[error("write {}", file.display())]
    WriteFile {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("commit to {}", folder.display())]
    Commit {
        folder: PathBuf,
        source: git2::Error,
    },
}

pub struct Scratch {
    folder: PathBuf,
    repository: Repository,
}

impl Scratch {
    /// Makes an empty repository with the branch `main`.
    pub fn make(folder: &Path) -> Result<Self, ScratchError> {
        let mut options = RepositoryInitOptions::new();
        options
            .initial_head("main")
            .external_template(false)
            .no_reinit(true);
        let repository = Repository::init_opts(folder, &options).map_err(|source| {
            ScratchError::MakeRepository {
                folder: folder.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            repository,
        })
    }

    pub fn write(&self, path: &str, text: &str) -> Result<(), ScratchError> {
        let file = self.folder.join(path);
        let parent = file.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, text))
            .map_err(|source| ScratchError::WriteFile { file, source })
    }

    /// Commits everything as it lies there; answers with the short id.
    pub fn commit(&self, message: &str) -> Result<String, ScratchError> {
        self.commit_all(message)
            .map_err(|source| ScratchError::Commit {
                folder: self.folder.clone(),
                source,
            })
    }

    fn commit_all(&self, message: &str) -> Result<String, git2::Error> {
        let mut index = self.repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = self.repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("Lockstep demo", "demo@lockstep.invalid")?;
        let parent = self
            .repository
            .head()
            .ok()
            .and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id =
            self.repository
                .commit(Some("HEAD"), &author, &author, message, &tree, &parents)?;
        Ok(id.to_string()[..7].to_owned())
    }
}
