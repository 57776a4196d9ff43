//! Clients who are never heard.

use super::mouth::{Said, protocol};
use super::tongue::Fluent;
use super::{Adversary, Mouth, Way};
use crypto::Payload;

pub(super) const LEFT_OUT: Way = Way::bold("a proposal without somebody's batches");

/// Orders everything but what the clients of one honest member sent.
pub struct Censor;

impl<P: Fluent> Adversary<P> for Censor {
    fn say(&mut self, said: Said<P::Message>, mouth: &mut Mouth<'_>) {
        let victim = mouth.honest().first().copied();
        let censored = said.message().and_then(|message| {
            let refs = P::payload(message)?.references();
            let kept: Vec<_> = refs
                .iter()
                .copied()
                .filter(|it| Some(it.author) != victim)
                .collect();
            let fewer = kept.len() < refs.len();
            fewer.then(|| P::ordering(message, Payload::Refs(kept)))?
        });
        let Some(mut censored) = censored else {
            return mouth.pass(&said);
        };
        P::sign(&mut censored, mouth.ring);
        mouth.lie(LEFT_OUT, &said.to, said.class, &protocol(censored));
    }
}
