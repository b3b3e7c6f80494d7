import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one node of OpenSearch on loopback until it is told to end. Arguments: its folder, its port. */
public class Node {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.host", "127.0.0.1");
            settings.put("http.port", arguments[1]);
            settings.put("transport.host", "127.0.0.1");
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            // How full the disk of this machine is, is not what is looked at.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1).clusterName("tidemark").useLogger());
        new CountDownLatch(1).await();
    }
}
