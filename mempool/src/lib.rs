//! Pool, batches, dissemination and availability, without I/O.
