/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a head costs, in nanoseconds on one core: parsing, and parsing with an edit of three tags
 * written out. Prints the least of several rounds, which neighbours on the machine disturb least.
 */
#include <stdio.h>

#include "base/array.h"
#include "base/clock.h"
#include "http/chunked.h"
#include "http/edit.h"

#define ROUNDS 15
#define REPEATS 20000

#define SMALL                                       \
	"GET /api/items/4711?lang=en HTTP/1.1\r\n"  \
	"Host: app-a.default.svc.cluster.local\r\n" \
	"x-user-id: 0005\r\n"                       \
	"User-Agent: curl/7.88.1\r\n"               \
	"Accept: */*\r\n"                           \
	"X-Request-Id: 1b4e28ba-2fa1-11d2-883f\r\n" \
	"Connection: keep-alive\r\n\r\n"

#define BROWSER                                                                                \
	"GET /shop/cart?item=4711&ref=home HTTP/1.1\r\n"                                       \
	"Host: shop.example.com\r\n"                                                           \
	"Connection: keep-alive\r\n"                                                           \
	"Cache-Control: max-age=0\r\n"                                                         \
	"sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", "                     \
	"\"Not-A.Brand\";v=\"99\"\r\n"                                                         \
	"sec-ch-ua-mobile: ?0\r\n"                                                             \
	"sec-ch-ua-platform: \"Linux\"\r\n"                                                    \
	"Upgrade-Insecure-Requests: 1\r\n"                                                     \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "  \
	"Chrome/124.0.0.0 Safari/537.36\r\n"                                                   \
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," \
	"image/apng,*/*;q=0.8\r\n"                                                             \
	"Sec-Fetch-Site: same-origin\r\n"                                                      \
	"Sec-Fetch-Mode: navigate\r\n"                                                         \
	"Sec-Fetch-User: ?1\r\n"                                                               \
	"Sec-Fetch-Dest: document\r\n"                                                         \
	"Referer: https://shop.example.com/home?campaign=autumn\r\n"                           \
	"Accept-Encoding: gzip, deflate, br, zstd\r\n"                                         \
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"                                         \
	"x-user-id: 0005\r\n"                                                                  \
	"Cookie: session=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978; theme=dark; "       \
	"consent=analytics%3D1%26ads%3D0; _ga=GA1.1.1234567890.1700000000\r\n\r\n"

static const struct http_limits *const limits = &http_default_limits;

static size_t parse(const char *data, size_t length)
{
	static struct http_request_head head;
	struct http_refusal refusal;

	if (http_request_parse(data, length, 0, limits, &head, &refusal) != HTTP_PARSE_COMPLETE)
		return 0;
	return head.length;
}

static size_t parse_and_tag(const char *data, size_t length)
{
	static struct http_request_head head;
	static struct http_edit edit;
	static char out[16384];
	struct http_refusal refusal;

	if (http_request_parse(data, length, 0, limits, &head, &refusal) != HTTP_PARSE_COMPLETE)
		return 0;
	http_edit_start(&edit, &head);
	http_edit_remove_hop_by_hop(&edit);
	http_edit_add(&edit, (struct span){"appver-a", 8}, (struct span){"v1", 2});
	http_edit_add(&edit, (struct span){"appver-b", 8}, (struct span){"v1", 2});
	http_edit_add(&edit, (struct span){"appver-c", 8}, (struct span){"v2", 2});
	return (size_t)http_edit_write(&edit, out, sizeof(out));
}

static size_t parse_response(const char *data, size_t length)
{
	static struct http_response_head head;
	struct http_refusal refusal;

	if (http_response_parse(data, length, 0, limits, false, &head, &refusal) !=
	    HTTP_PARSE_COMPLETE)
		return 0;
	return head.length;
}

static size_t scan_chunks(const char *data, size_t length)
{
	struct http_chunked chunked = {0};
	size_t taken;

	return http_chunked_scan(&chunked, data, length, &taken) == HTTP_CHUNK_TRAILERS ? taken : 0;
}

static double measure(size_t (*work)(const char *, size_t), const char *data, size_t length)
{
	uint64_t least = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_now_ns();
		for (int i = 0; i < REPEATS; i++) {
			if (work(data, length) == 0)
				return -1;
		}
		uint64_t took = clock_now_ns() - start;
		least = took < least ? took : least;
	}
	return (double)least / REPEATS;
}

int main(void)
{
	static const struct {
		const char *what;
		size_t (*work)(const char *, size_t);
		const char *data;
	} cases[] = {
		{"parse, small request", parse, SMALL},
		{"parse, browser's request", parse, BROWSER},
		{"parse, 3 tags, write, small", parse_and_tag, SMALL},
		{"parse, 3 tags, write, browser's", parse_and_tag, BROWSER},
		{"parse, response", parse_response,
		 "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 "
		 "GMT\r\n"
		 "Content-Type: application/json\r\nContent-Length: 1024\r\n"
		 "Connection: keep-alive\r\n\r\n"},
		{"scan 3 chunks", scan_chunks, "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n"},
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		double cost = measure(cases[i].work, cases[i].data, strlen(cases[i].data));

		printf("%-34s %5zu bytes %8.1f ns\n", cases[i].what, strlen(cases[i].data), cost);
		failed |= cost < 0;
	}
	return failed;
}
