// MS-COCO from a small distribution of its layout, its streaming reader, its words.
#include <gmock/gmock.h>

#include "core/data/detail/coco_json.hpp"
#include "core/data/detail/coco_words.hpp"
#include "tests/data/photo_support.hpp"

namespace gauntlet::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Json kSmall = {{"split", "row_order"}, {"n_query", 1}, {"n_train", 2}, {"n_words", 4}};

Json with(Json options, const Json& more) {
  options.update(more);
  return options;
}

Json image(int id, const std::string& file) {
  return {{"license", 3}, {"file_name", file}, {"height", 427},
          {"width", 640}, {"id", id},          {"coco_url", "http://x"}};
}
Json instance(int image_id, int category_id) {
  return {{"segmentation", {{239.97, 260.24, 222.04, 270.49}}},
          {"area", 2765.1},
          {"iscrowd", 0},
          {"image_id", image_id},
          {"bbox", {199.84, 200.46}},
          {"category_id", category_id},
          {"id", 156}};
}
Json caption(int image_id, const std::string& text) {
  return {{"image_id", image_id}, {"id", 3}, {"caption", text}};
}

const Json kCategories = {{{"supercategory", "vehicle"}, {"id", 90}, {"name", "boat"}},
                          {{"supercategory", "animal"}, {"id", 1}, {"name", "zebra"}},
                          {{"supercategory", "animal"}, {"id", 18}, {"name", "dog"}}};

struct Files {
  Json instances_train, instances_val, captions_train, captions_val;
};

Files files() {
  Files all;
  // Ids 30 and 9 out of order; an uncompressed crowd mask; image 9 has an instance twice.
  all.instances_train = {
      {"info", {{"year", 2017}}},
      {"images", {image(30, "000000000030.jpg"), image(9, "000000000009.jpg")}},
      {"annotations", {instance(9, 90), instance(9, 90), instance(9, 1), instance(30, 18)}},
      {"categories", kCategories}};
  all.instances_train["annotations"][3]["segmentation"] = {{"counts", {272, 2, 4}}, {"size", {240, 320}}};
  all.instances_val = {{"images", {image(7, "000000000007.jpg"), image(5, "000000000005.jpg")}},
                       {"annotations", {instance(5, 1)}},
                       {"categories", kCategories}};
  all.captions_train = {{"images", {image(9, "x")}},
                        {"annotations",
                         {caption(30, "A dog on the grass."), caption(9, "Zebras near a BOAT, two zebras"),
                          caption(30, "the dog_house; a boat")}}};
  all.captions_val = {{"annotations", {caption(5, "boat\n\xC3\xA9t\xC3\xA9 grass"), caption(7, "a dog")}}};
  return all;
}

PhotoSources coco(const Files& all = files(), const std::string& year = "2017") {
  PhotoSources sources("mscoco");
  sources.write("annotations/instances_train" + year + ".json", all.instances_train.dump());
  sources.write("annotations/instances_val" + year + ".json", all.instances_val.dump());
  sources.write("annotations/captions_train" + year + ".json", all.captions_train.dump());
  sources.write("annotations/captions_val" + year + ".json", all.captions_val.dump());
  sources.picture("train" + year + "/000000000009.jpg", 90);
  sources.picture("train" + year + "/000000000030.jpg", 130);
  sources.picture("val" + year + "/000000000005.jpg", 50);
  sources.picture("val" + year + "/000000000007.jpg", 70);
  return sources;
}

TEST(MsCoco, ItemsAreTrainThenValByRisingId) {
  auto sources = coco();
  const PreparedSet set = sources.set(kSmall);
  ASSERT_EQ(set.n_items(), 4);
  EXPECT_NEAR(grey_of(set, 0), 90, 1);
  EXPECT_NEAR(grey_of(set, 1), 130, 1);
  EXPECT_NEAR(grey_of(set, 2), 50, 1);
  EXPECT_NEAR(grey_of(set, 3), 70, 1);
  EXPECT_THAT(set.label_names(), ElementsAre("zebra", "dog", "boat"))
      << "by rising category id, with its gaps";
  EXPECT_EQ(labels_of(set, 0), "0 2");
  EXPECT_EQ(labels_of(set, 1), "1");
  EXPECT_EQ(labels_of(set, 3), "") << "an image without an instance stays";
  // In how many items: boat 3, dog 2, grass 2, then one each: by the alphabet dog_house.
  EXPECT_EQ(set.about()["text_names"], (Json{"boat", "dog", "grass", "dog_house"}));
  EXPECT_EQ(words_of(set, 0), "0");
  EXPECT_EQ(words_of(set, 1), "0 1 2 3");
  EXPECT_EQ(words_of(set, 2), "0 2");
  EXPECT_EQ(set.about()["found"], (Json{{"items", 4}, {"instances", 5}, {"captions", 5}}));
}

TEST(MsCoco, OffersTheOtherConventions) {
  auto sources = coco();
  const PreparedSet labelled = sources.set(with(kSmall, {{"keep", "labelled"}}));
  EXPECT_EQ(labelled.n_items(), 3);
  EXPECT_EQ(labelled.about()["text_names"][1], "grass") << "dog is in one item that is kept";
  const PreparedSet by_name = sources.set(with(kSmall, {{"label_order", "name"}}));
  EXPECT_THAT(by_name.label_names(), ElementsAre("boat", "dog", "zebra"));
  EXPECT_EQ(labels_of(by_name, 0), "0 2");
  auto other_year = coco(files(), "2014");
  EXPECT_EQ(other_year.set(kSmall).about()["partition"], "2014");
}

TEST(MsCoco, MistakesInTheFilesAreNamedWithTheirPlace) {
  const auto refusal = [](const std::function<void(Files&)>& change) {
    Files all = files();
    change(all);
    auto sources = coco(all);
    return sources.refusal(kSmall);
  };
  EXPECT_EQ(refusal([](Files& all) { all.instances_train["annotations"][1].erase("image_id"); }),
            "instances_train2017.json: annotations[1] has no image_id");
  EXPECT_EQ(refusal([](Files& all) { all.instances_train["annotations"][2]["category_id"] = 2; }),
            "instances_train2017.json: annotations[2]: category_id 2 is not among the categories");
  EXPECT_EQ(refusal([](Files& all) { all.instances_val["annotations"][0]["image_id"] = 9; }),
            "instances_val2017.json: annotations[0]: image_id 9 is not among the images");
  EXPECT_EQ(refusal([](Files& all) { all.captions_val["annotations"][1]["image_id"] = -1; }),
            "captions_val2017.json: annotations[1]: image_id -1 is not among the images");
  EXPECT_EQ(refusal([](Files& all) { all.captions_train["annotations"][0]["caption"] = 3; }),
            "captions_train2017.json: annotations[0] has no caption");
  EXPECT_EQ(refusal([](Files& all) { all.instances_val["images"][1]["file_name"] = "../x.jpg"; }),
            "instances_val2017.json: images[1]: file_name is '../x.jpg'; the name of a file is expected");
  EXPECT_EQ(refusal([](Files& all) { all.instances_train["images"][1]["id"] = 30; }),
            "instances_train2017.json: images: id 30 is given twice");
  EXPECT_EQ(refusal([](Files& all) { all.instances_val["categories"][0]["name"] = "ship"; }),
            "instances_val2017.json has other categories than the file of train");
  auto sources = coco();
  sources.remove("annotations/captions_val2017.json");
  EXPECT_THAT(
      sources.refusal(kSmall),
      HasSubstr(" has no annotations/captions_val2017.json; give the folder that holds annotations/"));
  sources = coco();
  const std::string whole = files().instances_train.dump();
  sources.write("annotations/instances_train2017.json", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(sources.refusal(kSmall),
              HasSubstr("instances_train2017.json is not readable JSON: parse error at"));
}

Status read(const std::string& text) {
  return detail::parse_coco_json(text, "a.json",
                                 {.instance = [](const detail::CocoAnnotation&) { return Status(); }});
}

TEST(CocoJson, PassesOverWhatItDoesNotNeed) {
  std::vector<std::int64_t> ids;
  const Status status = detail::parse_coco_json(
      R"({"x": {"images": [{"id": 1}]}, "images": [{"id": 4, "file_name": "f", "more": {"id": 9, "list": [{"id": 8}]}}],
          "y": [[{"id": 7}]], "images2": [{"id": 6}], "info": null, "images": [{"id": 5.0, "id": 5, "file_name": "g"}]})",
      "a.json", {.image = [&](const detail::CocoImage& image) {
        ids.push_back(image.id);
        return Status();
      }});
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_THAT(ids, ElementsAre(4, 5));
}

TEST(CocoJson, WhatIsHostileIsRefused) {
  EXPECT_EQ(read(std::string(100, '[')).error().message,
            "a.json: the document is an array; an object is expected");
  EXPECT_EQ(read("{\"a\":" + std::string(100, '[')).error().message,
            "a.json is nested deeper than 64 levels");
  EXPECT_THAT(read("{\"" + std::string(2 << 20, 'a') + "\": 1}").error().message,
              HasSubstr("a text of more than 1048576 bytes"));
  EXPECT_THAT(read("{\"a\": 1} x").error().message,
              HasSubstr("a.json is not readable JSON: parse error at line 1"));
  EXPECT_THAT(read("").error().message, HasSubstr("a.json is not readable JSON"));
  EXPECT_THAT(read("{\"a\": \"\xFF\"}").error().message, HasSubstr("a.json is not readable JSON"));
  EXPECT_EQ(
      read(R"({"annotations": [{"image_id": 99999999999999999999, "category_id": 1}]})").error().message,
      "a.json: annotations[0] has no image_id");
  EXPECT_TRUE(read("3"));
  EXPECT_EQ(detail::read_coco_json("/proc/self", "b.json", {}).error().message,
            "cannot read b.json: Is a directory");
}

TEST(CaptionWords, AreRunsOfTwoOrMoreLettersDigitsUnderscores) {
  std::vector<std::string> tokens;
  detail::for_each_token("A man's t-shirt, x2 and no_1 -- THE\xC3\xA9nd",
                         [&](const std::string& token) { tokens.push_back(token); });
  EXPECT_THAT(tokens, ElementsAre("man", "shirt", "x2", "no_1", "nd"));
  EXPECT_TRUE(detail::is_stop_word("the"));
  EXPECT_TRUE(detail::is_stop_word("about"));
  EXPECT_TRUE(detail::is_stop_word("yours"));
  EXPECT_FALSE(detail::is_stop_word("man"));
}

TEST(CaptionWords, RankByItemsNotByMentions) {
  detail::CaptionWords words;
  words.add(0, "cat cat cat cat");
  words.add(0, "cat");
  words.add(1, "dog bird");
  words.add(2, "dog");
  const auto bag = std::move(words).finish(2, {true, true, true});
  EXPECT_THAT(bag.vocabulary, ElementsAre("dog", "bird"));
  EXPECT_THAT(bag.of_item[1], ElementsAre(0, 1));
  EXPECT_TRUE(bag.of_item[0].empty());
}

}  // namespace
}  // namespace gauntlet::data
