// Command program is made as the example in the original's README: the same library, the same calls, the same port, and
// no way to tell it another one.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/badgerodon/socketmaster/client"
	"github.com/badgerodon/socketmaster/protocol"
)

func main() {
	listener, err := client.Listen(protocol.SocketDefinition{
		Port: 8000,
		HTTP: &protocol.SocketHTTPDefinition{PathPrefix: "/a"},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer listener.Close()
	http.HandleFunc("/", func(reply http.ResponseWriter, request *http.Request) {
		io.WriteString(reply, "From A")
	})
	if err := http.Serve(listener, nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
