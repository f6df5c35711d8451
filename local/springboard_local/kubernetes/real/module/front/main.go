// Command front stands before a cluster's kube-apiserver, and ends what outlives its starter.
//
//	front serve DESCRIPTOR CONFIGURATION CERTIFICATE KEY AUTHORITY   serves the listening socket that it inherits
//	front guard                                                      ends its process group when standard input ends
//
// A kube-apiserver reports the version it was built as, whatever version it emulates, and another version is
// another process on another port. EKS keeps a cluster's endpoint and reports the cluster's version: so does the front.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// configuration is read again at each SIGHUP.
type configuration struct {
	Backend string          `json:"backend"` // 127.0.0.1:PORT
	Version json.RawMessage `json:"version"` // what /version answers
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "front:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 6 && arguments[0] == "serve":
		descriptor, err := strconv.ParseUint(arguments[1], 10, 16)
		if err != nil {
			return err
		}
		return serve(os.NewFile(uintptr(descriptor), "listener"), arguments[2], arguments[3], arguments[4], arguments[5])
	case len(arguments) == 1 && arguments[0] == "guard":
		return guard()
	}
	return errors.New("usage: front serve DESCRIPTOR CONFIGURATION CERTIFICATE KEY AUTHORITY | front guard")
}

// guard needs no operating system's help: the kernel closes the pipe's other end when the starter dies, however it dies.
func guard() error {
	if group := syscall.Getpgrp(); group != os.Getpid() {
		return fmt.Errorf("the guard has to lead its process group, which is %d's", group)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return syscall.Kill(0, syscall.SIGKILL)
}

func serve(inherited *os.File, file, certificate, key, authority string) error {
	var current atomic.Pointer[configuration]
	if err := load(file, &current); err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			if err := load(file, &current); err != nil {
				log.Print(err)
			}
		}
	}()
	listener, err := net.FileListener(inherited)
	if err != nil {
		return err
	}
	forward, err := proxy(authority, &current)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(forward, &current), ReadHeaderTimeout: 30 * time.Second}
	return server.ServeTLS(listener, certificate, key)
}

func load(file string, current *atomic.Pointer[configuration]) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var read configuration
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	current.Store(&read)
	return nil
}

// proxy speaks HTTP/1.1 to the server, so that upgrades (exec, port-forward) pass, and writes every piece of a watch at once.
func proxy(authority string, current *atomic.Pointer[configuration]) (http.Handler, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + authority)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: 200,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // what the server compressed, or did not, goes on as it is
	}
	return &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(&url.URL{Scheme: "https", Host: current.Load().Backend})
			request.Out.Host = request.In.Host
		},
		ErrorHandler: func(answer http.ResponseWriter, request *http.Request, err error) {
			if request.Context().Err() == nil { // else the client has gone
				log.Printf("%s %s: %v", request.Method, request.URL.Path, err)
			}
			http.Error(answer, "the API server does not answer", http.StatusServiceUnavailable)
		},
	}, nil
}

func handler(forward http.Handler, current *atomic.Pointer[configuration]) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/version" || request.Method != http.MethodGet {
			forward.ServeHTTP(answer, request)
			return
		}
		// The server says whether the caller may know; what it says is replaced.
		seen := &status{header: http.Header{}}
		forward.ServeHTTP(seen, request)
		if seen.code != http.StatusOK {
			for name, values := range seen.header {
				answer.Header()[name] = values
			}
			answer.WriteHeader(seen.code)
			_, _ = answer.Write(seen.body)
			return
		}
		answer.Header().Set("Content-Type", "application/json")
		_, _ = answer.Write(current.Load().Version)
	})
}

// status keeps a short answer.
type status struct {
	header http.Header
	code   int
	body   []byte
}

func (s *status) Header() http.Header  { return s.header }
func (s *status) WriteHeader(code int) { s.code = code }
func (s *status) Write(part []byte) (int, error) {
	if s.code == 0 {
		s.code = http.StatusOK
	}
	s.body = append(s.body, part...)
	return len(part), nil
}
