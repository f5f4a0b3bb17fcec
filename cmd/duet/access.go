package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/jointoken"
	"github.com/duetcall/duet/webhook"
)

// refusalsPerSecond bounds the lines about joins that were refused: strangers cause them.
const (
	refusalsPerSecond = 2
	refusalBurst      = 20
)

// access decides who may join: who has a token, if there are keys for it, and then whom the
// webhook allows, if there is one.
type access struct {
	log   *slog.Logger
	asker *webhook.Asker
	rules atomic.Pointer[accessRules]

	lines   *rate.Limiter // of the log
	omitted atomic.Uint64
}

// accessRules are the keys and the configuration that they are from.
type accessRules struct {
	cfg    config.Auth
	tokens *jointoken.Verifier
}

// newAccessRules reads the keys.
func newAccessRules(cfg config.Auth) (*accessRules, error) {
	tokens, err := jointoken.New(cfg)
	if err != nil {
		return nil, err
	}
	return &accessRules{cfg, tokens}, nil
}

func newAccess(cfg config.Auth, log *slog.Logger) (*access, error) {
	rules, err := newAccessRules(cfg)
	if err != nil {
		return nil, err
	}
	a := &access{log: log, asker: webhook.NewAsker(), lines: rate.NewLimiter(refusalsPerSecond, refusalBurst)}
	a.rules.Store(rules)
	return a, nil
}

// authorize is signaling's Options.Authorize. Strangers are told no more about a token than whether it has
// expired or is for another room; the log has the rest, without the token.
func (a *access) authorize(ctx context.Context, req signaling.JoinRequest) (signaling.Grant, error) {
	rules := a.rules.Load()
	var claims *jointoken.Claims
	switch {
	case req.Token != "" && rules.tokens.Keys():
		said, err := rules.tokens.Verify(req.Token, req.Room)
		if err != nil {
			a.refused(req, "token", err)
			return signaling.Grant{}, deniedToken(err)
		}
		claims = &said
	case rules.cfg.Required:
		a.refused(req, "no token", nil)
		return signaling.Grant{}, &signaling.Denied{Code: signaling.CodeUnauthenticated, Message: "Nobody joins here without a token. Open the link that you were given."}
	}
	var grant signaling.Grant
	if claims != nil {
		grant = signaling.Grant{Name: claims.Name, Role: signaling.Role(claims.Role), Subject: claims.Subject}
	}
	if rules.cfg.WebhookURL == "" {
		return grant, nil
	}
	return a.ask(ctx, rules.cfg, req, claims, grant)
}

// ask has the webhook decide.
func (a *access) ask(ctx context.Context, cfg config.Auth, req signaling.JoinRequest, claims *jointoken.Claims, grant signaling.Grant) (signaling.Grant, error) {
	question := webhook.Question{At: time.Now().UTC(), Room: req.Room, Name: req.Name, Address: req.Client}
	if claims != nil {
		question.Token = &webhook.Token{Subject: claims.Subject, Room: claims.Room, Name: claims.Name, Role: claims.Role, Expires: claims.Expires.UTC()}
	}
	answer, err := a.asker.Ask(ctx, cfg, question)
	switch {
	case err != nil:
		a.refused(req, "the webhook does not answer", err)
		return signaling.Grant{}, err
	case !answer.Allow:
		a.refused(req, "the webhook does not allow it", nil)
		return signaling.Grant{}, &signaling.Denied{Code: signaling.CodeForbidden, Message: cmp.Or(plainWords(answer.Reason), "You may not join this room.")}
	}
	grant.Name = cmp.Or(answer.Name, grant.Name)
	grant.Role = cmp.Or(signaling.Role(answer.Role), grant.Role)
	for _, server := range answer.ICEServers {
		grant.ICEServers = append(grant.ICEServers, signaling.ICEServer(server))
	}
	return grant, nil
}

// maxReason bounds what a webhook says to people, in characters.
const maxReason = 200

// plainWords are a webhook's reason, without what could be taken for anything else.
func plainWords(reason string) string {
	words := []rune(signaling.CleanName(reason))
	return string(words[:min(len(words), maxReason)])
}

// deniedToken is what the bearer of a token is told that is not good.
func deniedToken(err error) error {
	denied := &signaling.Denied{Code: signaling.CodeUnauthenticated, Message: "The token is not valid. Ask for another link."}
	if bad, ok := errors.AsType[*jointoken.Error](err); ok {
		switch bad.Reason {
		case jointoken.Expired:
			denied.Message = "The token has expired. Ask for another link."
		case jointoken.OtherRoom:
			denied.Code, denied.Message = signaling.CodeForbidden, "The token is for another room."
		}
	}
	return denied
}

// refused writes down why somebody may not join, but not more often than anybody reads.
func (a *access) refused(req signaling.JoinRequest, reason string, err error) {
	if !a.lines.Allow() {
		a.omitted.Add(1)
		return
	}
	fields := []any{slog.String("client", req.Client.String()), slog.String("reason", reason)}
	if err != nil {
		fields = append(fields, slog.Any("error", err))
	}
	if n := a.omitted.Swap(0); n > 0 {
		fields = append(fields, slog.Uint64("omitted", n))
	}
	a.log.Info("join refused", fields...)
}
