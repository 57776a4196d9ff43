//! Reads of one node, each asked once: for load.

use super::ClientError;
use super::endpoints::{Ledger, connect};
use crate::rpc::proto::{Consistency, RangeRequest, RangeResponse};
use tonic::Status;

/// A connection of its own to one node, for many reads at a time.
#[derive(Clone)]
pub struct Reader(Ledger);

impl Reader {
    /// To the node of this URL. Connects when first used.
    ///
    /// # Errors
    /// [`ClientError::BadEndpoint`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        connect(url).map(Self)
    }

    /// Asks this node once for the newest value of one key.
    ///
    /// # Errors
    /// What the node refused, also what would pass: nothing is tried again.
    pub async fn get(
        &mut self,
        key: String,
        consistency: Consistency,
    ) -> Result<RangeResponse, Status> {
        let request = RangeRequest {
            key: key.into(),
            limit: 1,
            consistency: consistency.into(),
            ..RangeRequest::default()
        };
        Ok(self.0.range(request).await?.into_inner())
    }
}
