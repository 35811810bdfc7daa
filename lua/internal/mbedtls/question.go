package mbedtls

import (
	"errors"
	"slices"

	"github.com/hermetic-tls/hermetic"
)

// choice is what functions have chosen for a server's connection so far.
type choice struct {
	config   *Config // by servername; nil: the session's own
	named    bool    // servername has answered
	spoken   bool    // alpn has answered
	protocol string
}

// Question returns the function that the handshake waits for, an option of newconfig, and its
// argument. chosen says that it is the one of the configuration that servername has chosen.
func (s *Session) Question() (function string, argument []Field, chosen bool) {
	defer func() { _ = recover() }()
	c := s.inForce()
	chosen = c != s.config
	switch p := s.engine.Pending().(type) {
	case *hermetic.ConfigRequest:
		hello := helloFields(p.ClientHello)
		if s.config.functions["servername"] && !s.choice.named {
			return "servername", hello, false
		}
		if c.functions["alpn"] && !s.choice.spoken && len(p.ClientHello.SupportedProtos) > 0 {
			return "alpn", hello, chosen
		}
	case *hermetic.VerifyRequest:
		if c.functions["verify"] {
			return "verify", Info(p.State), chosen
		}
	}
	return "", nil, chosen
}

// inForce is the configuration of this connection.
func (s *Session) inForce() *Config {
	if s.choice.config != nil {
		return s.choice.config
	}
	return s.config
}

func helloFields(h *hermetic.ClientHello) []Field {
	fields := []Field{{"mode", h.Mode.String()}}
	if h.ServerName != "" {
		fields = append(fields, Field{"hostname", h.ServerName})
	}
	return append(fields, Field{"alpn", list(h.SupportedProtos)})
}

// Answers of functions that are no answers.
var (
	errVerifyResult     = errors.New("invalid verify result")
	errAlpnResult       = errors.New("invalid alpn result")
	errServerNameResult = errors.New("invalid servername result")
)

// Answer answers the question: value is a bool, a string or a *Config, and reason says why it is
// false. An error says that the value is no answer: nothing has changed.
func (s *Session) Answer(value any, reason string) (err error) {
	defer recovered(&err)
	switch p := s.engine.Pending().(type) {
	case *hermetic.VerifyRequest:
		return s.answerVerify(p, value, reason)
	case *hermetic.ConfigRequest:
		if s.config.functions["servername"] && !s.choice.named {
			return s.answerName(p, value, reason)
		}
		return s.answerProtocol(p, value)
	}
	return hermetic.ErrInvalidOperation
}

func (s *Session) answerVerify(p *hermetic.VerifyRequest, value any, reason string) error {
	good, ok := value.(bool)
	if !ok {
		return errVerifyResult
	}
	if good {
		return s.answered(p.Answer(nil))
	}
	if reason == "" {
		reason = "verify has refused the peer"
	}
	return s.answered(p.Answer(&hermetic.AlertError{Alert: hermetic.AlertBadCertificate, Cause: reason}))
}

func (s *Session) answerName(p *hermetic.ConfigRequest, value any, reason string) error {
	switch value := value.(type) {
	case *Config:
		if value.mode != s.mode {
			return errServerNameResult
		}
		s.choice.config = value
	case bool:
		if !value {
			if reason == "" {
				reason = "servername does not know the server's name"
			}
			return s.answered(p.Answer(nil, &hermetic.AlertError{Alert: hermetic.AlertUnrecognizedName, Cause: reason}))
		}
	default:
		return errServerNameResult
	}
	s.choice.named = true
	return nil
}

func (s *Session) answerProtocol(p *hermetic.ConfigRequest, value any) error {
	switch value := value.(type) {
	case string:
		if !slices.Contains(p.ClientHello.SupportedProtos, value) {
			return errAlpnResult
		}
		s.choice.protocol = value
	case bool:
		if value {
			return errAlpnResult
		}
	default:
		return errAlpnResult
	}
	s.choice.spoken = true
	return nil
}

// settle answers what no function is asked anymore. It reports whether the handshake continues.
func (s *Session) settle() (goOn bool) {
	if function, _, _ := s.Question(); function != "" {
		return false
	}
	c := s.inForce()
	switch p := s.engine.Pending().(type) {
	case *hermetic.ConfigRequest:
		config := c.config
		if s.choice.spoken {
			config = c.speaking(s.choice.protocol)
		}
		_ = s.answered(p.Answer(config, nil))
	case *hermetic.VerifyRequest:
		_ = s.answered(p.Answer(nil))
	default:
		return false
	}
	return true
}

// answered notes that the answer has ended the handshake: the engine says so at the next call.
func (s *Session) answered(err error) error {
	if _, fatal := s.engine.Open(nil); fatal != nil && fatal != hermetic.ErrPending {
		s.failure = fatal
	}
	return err
}
