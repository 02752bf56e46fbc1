//! What the user can do about an error, where that is more than the error says.

use std::error::Error;

use crate::edge::apiserver::{ConnectError, Failure, ReadClusterError};
use crate::edge::git::{OpenRepositoryError, ReadRevisionError};
use crate::edge::web::ServePageError;
use crate::model::key::Key;
use crate::run::survey::SurveyError;
use crate::show::escape::for_terminal;

/// A hint for one error of a chain.
pub fn of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return connect(error);
    }
    if let Some(error) = error.downcast_ref::<ReadClusterError>() {
        return read_cluster(error);
    }
    if let Some(ServePageError::Listen { .. }) = error.downcast_ref() {
        return Some(
            "name another address with --listen, such as 127.0.0.1:0 for any free port".into(),
        );
    }
    // Transparent errors hide what they hold from the chain.
    match error.downcast_ref::<SurveyError>() {
        Some(SurveyError::ReadCluster(error)) => return read_cluster(error),
        Some(SurveyError::FindManifest {
            nearest, unread, ..
        }) => return find_manifest(nearest.as_ref(), unread),
        Some(SurveyError::FindNamespace { .. }) => {
            return Some("leave out --namespace to see every cluster that is declared".into());
        }
        None => {}
    }
    if let Some(error) = error.downcast_ref::<OpenRepositoryError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ReadRevisionError>() {
        return error.hint();
    }
    None
}

fn connect(error: &ConnectError) -> Option<String> {
    match error {
        ConnectError::FindKubeconfig => Some(
            "name a kubeconfig with --kubeconfig or KUBECONFIG; `lockstep demo` needs none".into(),
        ),
        ConnectError::FindContext { .. } => {
            Some("`kubectl config get-contexts` lists what there is".into())
        }
        ConnectError::RunPlugin { .. } => {
            Some("set `allowExec: true` in the configuration file if you trust that program".into())
        }
        ConnectError::ReadKubeconfig { .. } => {
            Some("name another with --kubeconfig or KUBECONFIG".into())
        }
        ConnectError::UseServiceAccount { .. } | ConnectError::PrepareConnection { .. } => None,
    }
}

fn find_manifest(nearest: Option<&Key>, unread: &[String]) -> Option<String> {
    match (nearest, unread) {
        (Some(nearest), _) => Some(format!("there is {}", for_terminal(&nearest.to_string()))),
        (None, []) => Some("see --revision and --path; `lockstep plan` lists what there is".into()),
        (None, files) => Some(format!(
            "it may be in {}, which cannot be read: see `lockstep check`",
            for_terminal(&files.join(", "))
        )),
    }
}

fn read_cluster(error: &ReadClusterError) -> Option<String> {
    match error {
        ReadClusterError::AwaitLists { .. } => Some("the server is slow; ask again".into()),
        ReadClusterError::ListKind { why, .. } => match why {
            Failure::NotInstalled { .. } => {
                Some("install the StackGres operator, which brings its definitions".into())
            }
            Failure::Forbidden { .. } | Failure::Answered { code: 403, .. } => {
                Some("deploy/ holds the permissions that Lockstep needs".into())
            }
            Failure::Unauthorized | Failure::Credentials { .. } => {
                Some("renew the credentials of the kubeconfig".into())
            }
            Failure::Unreachable { .. } | Failure::TimedOut { .. } => {
                Some("is the address of the kubeconfig right, and the server up?".into())
            }
            Failure::Certificate { .. } | Failure::Answered { .. } | Failure::Unreadable { .. } => {
                None
            }
        },
    }
}
