import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.fabric8.crdv2.generator.CRDGenerator;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.CustomResource;
import io.strimzi.api.kafka.model.kafka.Kafka;
import io.strimzi.api.kafka.model.nodepool.KafkaNodePool;
import io.strimzi.api.kafka.model.topic.KafkaTopic;
import io.strimzi.api.kafka.model.user.KafkaUser;
import java.io.File;
import java.lang.reflect.Method;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * Reads resources as Strimzi's operator would, and names every field that its model does not know.
 *
 * <p>{@code Strimzi check FILE…} checks; {@code Strimzi definitions FOLDER} writes custom resource definitions made
 * of the same model. In those, what has several forms (listeners' authentication, storage) takes any field.
 */
public class Strimzi {
    private static final Map<String, Class<? extends HasMetadata>> KINDS = Map.of(
        "Kafka", Kafka.class, "KafkaNodePool", KafkaNodePool.class,
        "KafkaTopic", KafkaTopic.class, "KafkaUser", KafkaUser.class);
    private static int checked;
    private static int wrong;

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("definitions")) {
            new CRDGenerator().customResourceClasses(List.copyOf(KINDS.values())).forCRDVersions("v1")
                .inOutputDir(new File(arguments[1])).detailedGenerate();
            return;
        }
        ObjectMapper mapper = new ObjectMapper(new YAMLFactory());
        for (int index = 1; index < arguments.length; index++) {
            File file = new File(arguments[index]);
            try (MappingIterator<JsonNode> documents = mapper.readerFor(JsonNode.class).readValues(file)) {
                while (documents.hasNextValue()) {
                    JsonNode document = documents.nextValue();
                    if (document.path("apiVersion").asText().startsWith("kafka.strimzi.io/")) {
                        check(mapper, file.getName(), document);
                    }
                }
            }
        }
        System.out.println(checked + " resources");
        System.exit(wrong == 0 ? 0 : 1);
    }

    private static void check(ObjectMapper mapper, String file, JsonNode document) {
        String kind = document.path("kind").asText();
        String where = file + ": " + kind + "/" + document.path("metadata").path("name").asText();
        checked++;
        Class<?> model = KINDS.get(kind);
        if (model == null) {
            tell(where + ": no kind of Strimzi's");
            return;
        }
        try {
            visit(where, ((CustomResource<?, ?>) mapper.treeToValue(document, model)).getSpec());
        } catch (com.fasterxml.jackson.core.JsonProcessingException refusal) {
            tell(where + ": " + refusal.getOriginalMessage());
        } catch (ReflectiveOperationException fault) {
            throw new IllegalStateException(where, fault);
        }
    }

    private static void visit(String where, Object value) throws ReflectiveOperationException {
        if (value instanceof Collection<?> many) {
            int index = 0;
            for (Object one : many) {
                visit(where + "[" + index++ + "]", one);
            }
        } else if (value instanceof Map<?, ?> map) {
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                visit(where + "." + entry.getKey(), entry.getValue());
            }
        } else if (value != null && isModel(value.getClass())) {
            for (Method method : value.getClass().getMethods()) {
                boolean isGetter = method.getName().startsWith("get") && method.getParameterCount() == 0;
                if (!isGetter || method.getDeclaringClass() == Object.class) {
                    continue;
                }
                Object field = method.invoke(value);
                if (!method.getName().equals("getAdditionalProperties")) {
                    String name = Character.toLowerCase(method.getName().charAt(3)) + method.getName().substring(4);
                    visit(where + "." + name, field);
                } else if (field instanceof Map<?, ?> unknown && !unknown.isEmpty()) {
                    tell(where + ": unknown " + unknown.keySet());
                }
            }
        }
    }

    private static boolean isModel(Class<?> type) {
        return !type.isEnum()
            && (type.getName().startsWith("io.strimzi.") || type.getName().startsWith("io.fabric8.kubernetes.api.model."));
    }

    private static void tell(String line) {
        wrong++;
        System.out.println(line);
    }
}
