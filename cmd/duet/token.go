package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/jointoken"
)

// maxSubject bounds --sub, in bytes.
const maxSubject = 256

const tokenHelp = `Prints a token that lets its bearer into one room until it expires, signed with
[signaling.auth] token_secret; --room '*' is for every room. --name is what others call the
bearer, --role makes it a host or a guest who never becomes one, --sub is who it is for
you: webhooks are told. --url prints the link that opens the room instead; the token is in the
part that browsers send to no server.

` + configHelp

func runToken(_ context.Context, env environment, args []string) error {
	set, file := flags("token")
	var claims jointoken.Claims
	set.StringVar(&claims.Room, "room", "", "")
	set.StringVar(&claims.Name, "name", "", "")
	set.StringVar(&claims.Role, "role", "", "")
	set.StringVar(&claims.Subject, "sub", "", "")
	ttl := set.Duration("ttl", time.Hour, "")
	origin := set.String("url", "", "")
	if err := parse(env, set, args); err != nil {
		return err
	}
	link, err := parseOrigin(*origin)
	switch {
	case err != nil:
		return err
	case claims.Room == "":
		return usageError{"token needs --room NAME: the room that it opens, or '*' for every room"}
	case unclean(claims.Room):
		return usageError{"--room takes at most 64 characters, without control characters and without white space around it"}
	case unclean(claims.Name):
		return usageError{"--name takes at most 64 characters, without control characters and without white space around it"}
	case claims.Role != "" && claims.Role != "host" && claims.Role != "guest":
		return usageError{"--role is host or guest; without it the first of a room is its host"}
	case len(claims.Subject) > maxSubject:
		return usageError{fmt.Sprintf("--sub takes at most %d bytes", maxSubject)}
	case *ttl < time.Second:
		return usageError{"--ttl is how long the token lets somebody in, for example 30m or 12h"}
	case link != nil && claims.Room == jointoken.AnyRoom:
		return usageError{"--url is for one room"}
	}
	cfg, _, err := load(env, *file)
	if err != nil {
		return err
	}
	now := time.Now()
	claims.Expires = now.Add(*ttl)
	token, err := jointoken.Mint(cfg.Signaling.Auth, claims, now)
	switch {
	case errors.Is(err, jointoken.ErrNoSecret):
		return errors.New("there is no [signaling.auth] token_secret to sign with; set token_secret (or token_secret_file) and reload the server. " +
			"Tokens for the keys in jwks_file are signed where the private keys are")
	case err != nil:
		return err
	case link == nil:
		fmt.Fprintln(env.out, token)
		return nil
	}
	// As the web client reads it (web/static/ui/room.js).
	fmt.Fprintf(env.out, "%s/#%s&token=%s\n", link, strings.ReplaceAll(url.QueryEscape(claims.Room), "+", "%20"), token)
	return nil
}

// unclean reports whether a server would read the name as another one.
func unclean(name string) bool {
	return signaling.CleanName(name) != name || utf8.RuneCountInString(name) > signaling.MaxNameRunes
}

// parseOrigin reads --url, nil if there is none.
func parseOrigin(origin string) (*url.URL, error) {
	if origin == "" {
		return nil, nil
	}
	u, err := url.Parse(strings.TrimSuffix(origin, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.String() != u.Scheme+"://"+u.Host {
		return nil, usageError{"--url is where people open Duet, for example https://call.example.org"}
	}
	return u, nil
}
