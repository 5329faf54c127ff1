/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/answer.h"

#include <stdio.h>

#include "base/array.h"

const char *http_status_phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{418, "(Unused)"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{425, "Too Early"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(phrases); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Unknown";
}

void http_date(time_t when, char ret_text[HTTP_DATE_BYTES + 1])
{
	/* Not strftime: the names are English whatever the locale. */
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	char text[64];
	struct tm utc;

	gmtime_r(&when, &utc);
	snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday],
		 utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
		 utc.tm_sec);
	memcpy(ret_text, text, HTTP_DATE_BYTES);
	ret_text[HTTP_DATE_BYTES] = '\0';
}

void http_error_response(unsigned status, const char *reason, time_t now, bool close, bool to_head,
			 struct buffer *out)
{
	bool has_content = status >= 200 && status != 204 && status != 304;
	char date[HTTP_DATE_BYTES + 1];

	http_date(now, date);
	buffer_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_status_phrase(status),
		      date);
	if (has_content)
		buffer_printf(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n",
			      strlen(reason) + 1);
	buffer_append_text(out, close ? "Connection: close\r\n\r\n" : "\r\n");
	if (has_content && !to_head)
		buffer_printf(out, "%s\n", reason);
}
