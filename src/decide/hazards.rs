//! Every hazard of `domain.md` §6.2.
