// SPDX-License-Identifier: GPL-2.0-only
// As server.py, on the JDK's own server: each request makes one call, by HttpURLConnection or by HttpClient.
// usage: java Server.java url|client ADDRESS PORT CALLED-URL [HEADER]
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Executors;

public class Server {
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private static byte[] callByUrl(URI called, String name, String value) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) called.toURL().openConnection();
        if (value != null) {
            connection.setRequestProperty(name, value);
        }
        try (var body = connection.getInputStream()) {
            return body.readAllBytes();
        }
    }

    private static byte[] callByClient(URI called, String name, String value) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(called);
        if (value != null) {
            request.header(name, value);
        }
        return CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofByteArray()).body();
    }

    private static void answer(HttpExchange exchange, String[] arguments) throws IOException {
        String name = arguments.length > 4 ? arguments[4] : null;
        String value = name == null ? null : exchange.getRequestHeaders().getFirst(name);
        URI called = URI.create(arguments[3]);
        try (exchange) {
            byte[] body = arguments[0].equals("url") ? callByUrl(called, name, value) : callByClient(called, name, value);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
        } catch (Exception error) {
            throw new IOException(error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(arguments[1], Integer.parseInt(arguments[2])), 128);
        server.createContext("/", exchange -> answer(exchange, arguments));
        server.setExecutor(Executors.newFixedThreadPool(50));
        server.start();
    }
}
