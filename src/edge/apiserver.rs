//! The Kubernetes API server: what is live, and the writes that were decided.
//!
//! `Reader` keeps one watch a kind and puts together what is known of a cluster; it never writes. `Writer` sends a step whose
//! gates were all checked, by server-side apply, and reads nothing but the answer. They are different types so that only
//! who is given a `Writer` can change a cluster. Nothing here decides anything, and nothing is ever deleted.

mod adopt;
mod assemble;
mod connect;
mod decode;
mod failure;
mod index;
mod kinds;
mod reader;
mod schema;
mod stored;
mod watch;
mod weight;
mod writer;

pub use assemble::Unreadable;
pub use connect::{ConnectError, ConnectSettings, connect};
pub use failure::Failure;
pub use index::{Changes, WatchHealth, WatchState};
pub use reader::{ReadClusterError, Reader, Scope};
pub use schema::server_schema;
pub use writer::{WriteError, Writer};
