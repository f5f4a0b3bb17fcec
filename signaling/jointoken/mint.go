package jointoken

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duetcall/duet/config"
)

// ErrNoSecret is returned by Mint where there is nothing to sign with.
var ErrNoSecret = errors.New("there is no token_secret")

// Mint signs a token with cfg's TokenSecret (HS256). It is for cfg's issuer and audience,
// and holds from now until c.Expires.
func Mint(cfg config.Auth, c Claims, now time.Time) (string, error) {
	if cfg.TokenSecret == "" {
		return "", ErrNoSecret
	}
	said := wire{Room: c.Room, Name: c.Name, Role: c.Role, RegisteredClaims: jwt.RegisteredClaims{
		Subject: c.Subject, Issuer: cfg.Issuer,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(c.Expires),
	}}
	if cfg.Audience != "" {
		said.Audience = jwt.ClaimStrings{cfg.Audience}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, said).SignedString([]byte(cfg.TokenSecret.Reveal()))
	if err != nil {
		return "", fmt.Errorf("signing the token: %w", err)
	}
	return token, nil
}
