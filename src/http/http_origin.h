/* Who may talk to a server that a browser can reach: the names it is called by, and the pages that
 * may use it.
 *
 * A page of any site can make a browser send requests to 127.0.0.1.  Two looks stop it: at Host,
 * which holds the site's own name where that name was pointed at 127.0.0.1 (DNS rebinding), and at
 * Origin, which names the page's site. */
#ifndef HTTP_HTTP_ORIGIN_H
#define HTTP_HTTP_ORIGIN_H

#include <stdbool.h>

/* Is this Host header ("localhost:7866", "127.0.0.1", "[::1]:80") a name of this machine, or one of
 * `allowed`, names separated by blanks ("*": any)?  Ports do not count. */
bool http_origin_host_is_local(const char *host, const char *allowed);

/* May pages of this origin ("http://localhost:3000") use the server?  allowed: "loopback", "*",
 * "none", or origins separated by blanks, where loopback may be one of the words.  An origin that
 * is the server's own, by its Host header (NULL: none), always may. */
bool http_origin_is_allowed(const char *origin, const char *allowed, const char *host);

#endif
