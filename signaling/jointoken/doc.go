// Package jointoken verifies and mints the tokens that let people into rooms: JSON Web
// Tokens (RFC 7519), signed with a shared secret (HS256, RFC 7518) or with an Ed25519 key
// of which we know the public half (EdDSA, RFC 8037).
//
// New reads the keys and is all that touches a file. A Verifier is immutable: whoever wants
// other keys makes another one and swaps it in.
//
// A token is refused as a whole for anything that is not as it must be: an algorithm for
// which no key is configured ("none" never has one), a header parameter that must be
// understood ("crit", RFC 7515 section 4.1.11), a token without an end. Each algorithm has keys of its own, so that
// no public key is ever taken for a secret.
package jointoken
